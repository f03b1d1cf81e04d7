//go:build !unix

package activation

import (
	"errors"
	"net"
)

func listener(int, string) (net.Listener, error) {
	return nil, errors.New("this system has no such thing")
}
