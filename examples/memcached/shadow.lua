-- SPDX-License-Identifier: MIT
--
-- As proxy.lua, but with a request that lives on: `get kept` asks for what it
-- says, and `get other` has it say "two" first.
dofile(os.getenv('PROXY_POOLS'))

local kept

function mcp_config_routes(pool)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(request)
        local key = request:key()
        if key ~= 'kept' and key ~= 'other' then
            return pool(request)
        end
        kept = kept or mcp.request("get one\r\n")
        if key == 'other' then
            kept:token(2, 'two')
        end
        return pool(kept)
    end)
end
