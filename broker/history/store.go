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

// maxQueued bounds the number of results that wait for the disk.
const maxQueued = 4096

// Errors of Add.
var (
	// ErrQueueFull: too many results wait for the disk, and this one is not kept.
	ErrQueueFull = errors.New("add a result to the history: the disk is too slow, too many results wait to be written")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("the history is closed")
)

// Store is an open file. It is safe for concurrent use by one process; another
// cannot open it meanwhile. Close ends it.
type Store struct {
	db     *bbolt.DB
	queue  chan entry
	failed atomic.Pointer[error] // of the last write; nil once it was returned
	ended  chan struct{}         // closed when the writer has ended

	mu     sync.RWMutex // held to send, and to close
	closed bool
}

// entry is a result to write or, with written set, a caller of Flush that waits for
// all entries before it.
type entry struct {
	result  scheduler.Result
	written chan struct{}
}

func newStore(db *bbolt.DB) *Store {
	s := &Store{db: db, queue: make(chan entry, maxQueued), ended: make(chan struct{})}
	go s.write()
	return s
}

// Add queues a result, which will replace the agent's oldest one. It does not wait for
// the disk. An error says that this result is not kept, or that earlier ones could
// not be written.
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

// Flush waits until all results that were added before are on disk. It returns the
// error of the last write that failed, unless Add has already returned it.
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

// Close writes the queued results and closes the file. Later calls do nothing.
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

// write stores queued results until the queue is closed. All results that arrive
// during one transaction go into the next one.
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

// put stores results; each replaces its agent's oldest one.
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
