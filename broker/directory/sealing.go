package directory

import (
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/envelope"
)

// binding is a sealing key as the agent last presented it, and what came of
// checking it. It is never changed once stored.
type binding struct {
	claimed api.SealingKey
	valid   bool
}

// bind takes the sealing key of a status. The signature on it is checked once a
// change: a poll that repeats the key costs no more than a comparison.
func (e *entry) bind(key *api.SealingKey) error {
	last := e.sealing.Load()
	if key == nil {
		if last != nil {
			e.sealing.Store(nil)
		}
		return nil
	}
	if last != nil && last.claimed == *key {
		return nil
	}
	err := envelope.CheckBinding(e.who.Key, key)
	e.sealing.Store(&binding{claimed: *key, valid: err == nil})
	return err
}

func (e *entry) sealingKey() *api.SealingKey {
	if b := e.sealing.Load(); b != nil && b.valid {
		return &b.claimed
	}
	return nil
}
