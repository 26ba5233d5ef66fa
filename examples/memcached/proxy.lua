-- SPDX-License-Identifier: MIT
--
-- A memcached proxy with the pools of PROXY_POOLS, pools.lua.
dofile(os.getenv('PROXY_POOLS'))

function mcp_config_routes(pool)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(request)
        return pool(request)
    end)
end
