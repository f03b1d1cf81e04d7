package history

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/farforge/farforge/broker/scheduler"
)

// maxQueued bounds the results that wait for the disk.
const maxQueued = 4096

// What Add fails with.
var (
	// ErrQueueFull: the disk is slower than the results; this one is not kept.
	ErrQueueFull = errors.New("add a result to the history: the disk is too slow, too many results wait to be written")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("the history is closed")
)

// Store is an open file. It is safe for concurrent use by one process; another
// cannot open it meanwhile. Close ends it.
type Store struct {
	db     *bbolt.DB
	queue  chan entry
	failed atomic.Pointer[error] // of the last write; nil once a caller has had it
	ended  chan struct{}         // closed when the writer has ended

	mu     sync.RWMutex // held to send, and to close
	closed bool
}

// entry is a result to write or, with written set, a caller that waits until all
// before it are.
type entry struct {
	result  scheduler.Result
	written chan struct{}
}

func newStore(db *bbolt.DB) *Store {
	s := &Store{db: db, queue: make(chan entry, maxQueued), ended: make(chan struct{})}
	go s.write()
	return s
}

// Add takes a result in, to be stored in place of the agent's oldest. It does not
// wait for the disk. An error says that this result is not kept, or that earlier
// ones could not be written.
func (s *Store) Add(r scheduler.Result) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return fmt.Errorf("add a result: %w", ErrClosed)
	}
	select {
	case s.queue <- entry{result: r}:
		return s.failure()
	default:
		return ErrQueueFull
	}
}

// Flush waits until all that was added before is on disk. It returns the error of
// the last write that failed, unless Add has returned that already.
func (s *Store) Flush() error {
	written := make(chan struct{})
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return fmt.Errorf("flush: %w", ErrClosed)
	}
	s.queue <- entry{written: written}
	s.mu.RUnlock()
	<-written
	return s.failure()
}

// Close writes what was added, and closes the file. Only the first call does
// something.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	<-s.ended
	return errors.Join(s.failure(), s.db.Close())
}

func (s *Store) failure() error {
	if err := s.failed.Swap(nil); err != nil {
		return *err
	}
	return nil
}

// write stores what is queued, until the queue is closed: all that has gathered
// during one transaction in the next one.
func (s *Store) write() {
	defer close(s.ended)
	batch := make([]entry, 0, maxQueued)
	for first := range s.queue {
		batch = append(batch[:0], first)
		for range min(len(s.queue), maxQueued-1) {
			batch = append(batch, <-s.queue)
		}
		if slices.ContainsFunc(batch, func(e entry) bool { return e.written == nil }) {
			if err := s.db.Update(func(tx *bbolt.Tx) error { return put(tx, batch) }); err != nil {
				err = fmt.Errorf("write results to the history: %w", err)
				s.failed.Store(&err)
			}
		}
		for _, e := range batch {
			if e.written != nil {
				close(e.written)
			}
		}
	}
}

// put stores each result in place of its agent's oldest.
func put(tx *bbolt.Tx, batch []entry) error {
	for i := range batch {
		if batch[i].written != nil {
			continue
		}
		r := &batch[i].result
		b, err := tx.Bucket(results).CreateBucketIfNotExists([]byte(r.Agent))
		if err != nil {
			return err
		}
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		if n > PerAgent {
			if err := b.Delete(key(n - PerAgent)); err != nil {
				return err
			}
		}
		if err := b.Put(key(n), encode(r)); err != nil {
			return err
		}
	}
	return nil
}
