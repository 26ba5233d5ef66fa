-- SPDX-License-Identifier: MIT
--
-- One server behind the proxy, on port BACKEND_PORT.
function mcp_config_pools(old)
    local port = tonumber(os.getenv('BACKEND_PORT'))
    return mcp.pool({ mcp.backend('backend', '127.0.0.1', port) })
end
