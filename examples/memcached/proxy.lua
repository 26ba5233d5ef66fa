-- SPDX-License-Identifier: MIT
--
-- A memcached proxy with one server behind it, on port BACKEND_PORT.
function mcp_config_pools(old)
    local port = tonumber(os.getenv('BACKEND_PORT'))
    return mcp.pool({ mcp.backend('backend', '127.0.0.1', port) })
end

function mcp_config_routes(pool)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(request)
        return pool(request)
    end)
end
