-- Names the server of the backend `living` that has an address: the gateway of a session, or nothing.
--
-- HAProxy can connect to any address that DNS gives for a name, but the name comes from the client, and DNS knows more than
-- gateways: this load balancer itself, and whatever the network's own DNS server resolves.

core.register_converters("gateway_at", function(address)
    local wanted = address .. ":"
    for name, server in pairs(core.backends["living"].servers) do
        if string.sub(server:get_addr(), 1, #wanted) == wanted then return name end
    end
    return ""
end)
