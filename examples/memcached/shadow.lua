-- SPDX-License-Identifier: MIT
--
-- As proxy.lua, but with a request that lives on: `get kept` asks for what it
-- says, and `get other` has it say "two" first.
local kept

function mcp_config_pools(old)
    local port = tonumber(os.getenv('BACKEND_PORT'))
    return mcp.pool({ mcp.backend('backend', '127.0.0.1', port) })
end

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
