package session

import (
	"context"

	"github.com/farforge/farforge/common/rendezvous"
)

// BrokerError is the error for the user when a broker was asked for something else
// than a job and did not do it. as names what it was told who asks; empty is
// nothing. ctx is that of the request.
func BrokerError(ctx context.Context, broker *rendezvous.Client, as string, err error) error {
	return brokerError(ctx, &Job{Broker: broker, As: as}, err)
}
