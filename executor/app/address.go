package app

import (
	"net"
	"net/netip"
	"strings"
)

// ownIP returns the address by which others reach what listens in this executor's
// network: the one that libprocess is told to use, or the one from which the agent
// is called, which in a network of the container's own is that container's. It is
// empty where neither is known. Nothing is sent.
func ownIP(o Options) string {
	if ip, err := netip.ParseAddr(o.IP); err == nil && !ip.IsUnspecified() {
		return ip.String()
	}
	agent := o.AgentEndpoint
	if _, address, ok := strings.Cut(o.AgentPID, "@"); ok {
		agent = address
	}
	to, err := netip.ParseAddrPort(agent)
	if err != nil {
		return ""
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return ""
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().String()
}
