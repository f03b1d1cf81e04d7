package simulator

import (
	"context"
	"fmt"
	"net"
)

// ServeListener serves the chip to whoever connects to l, one after the other,
// as raw bytes without modem lines. It owns l, and returns nil when ctx ends. A
// flashing port gives full control of the (simulated) chip to anyone who reaches
// it: listen on loopback.
func (c *Chip) ServeListener(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		if err := c.Serve(ctx, conn); err != nil {
			// A connection that broke is the client's affair; the next may come.
			c.log.Warn("connection ended", "client", conn.RemoteAddr().String(), "error", err)
		}
	}
}
