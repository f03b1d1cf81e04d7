// Package history stores the last results of each agent in one bbolt file, so that
// the scheduler can learn from them again after a restart or a crash.
//
//	results
//	├── SHA256:… (an agent)   ring of the last PerAgent results
//	│     ├── 17 → verdict, warm or not, when, how long, target, toolchain, project key
//	│     └── 18 → …
//	└── SHA256:…
//
// The file holds results, not the scheduler's estimates: a broker learns from the
// results again when it starts, so a change to the learning needs no migration. The
// file holds nothing personal: no user, no address, and for a project only a hash
// under the broker's own key.
//
// Add does not wait for the disk. A writer stores all queued results in one
// transaction, which takes some milliseconds, and then begins the next. Flush,
// Results and Close wait for it. A broker that is killed loses only the results of
// those milliseconds: bbolt writes copies of pages and switches to them with one
// checksummed page, so that a crash at any moment leaves the state before or after a
// transaction.
package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/farforge/farforge/broker/scheduler"
	"github.com/farforge/farforge/common/wholefile"
)

// The store keeps the last PerAgent results of each agent. Open deletes those that
// are older than MaxAge.
const (
	PerAgent = 64
	MaxAge   = 30 * 24 * time.Hour
)

var results = []byte("results")

// Open opens the file, or creates it readable by its owner only. It deletes old
// results, and compacts the file if most of it is unused.
func Open(path string, now time.Time) (*Store, error) {
	db, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := prune(db, now); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if wasteful(db, path) {
		if db, err = compact(db, path); err != nil {
			return nil, err
		}
	}
	return newStore(db), nil
}

func open(path string) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 2 * time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open the history %s: another process has it open", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the history %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(results)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the history %s: %w", path, err), db.Close())
	}
	return db, nil
}

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Results returns all results in the order of time. It counts and skips entries that
// it cannot read, which another version may have written.
func (s *Store) Results() (all []scheduler.Result, unread int, err error) {
	if err := s.Flush(); err != nil {
		return nil, 0, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(results).ForEachBucket(func(agent []byte) error {
			return tx.Bucket(results).Bucket(agent).ForEach(func(_, v []byte) error {
				r, err := decode(v)
				if err != nil {
					unread++
					return nil
				}
				r.Agent = string(agent)
				all = append(all, r)
				return nil
			})
		})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the history: %w", err)
	}
	slices.SortStableFunc(all, func(a, b scheduler.Result) int { return a.At.Compare(b.At) })
	return all, unread, nil
}

// prune deletes old and unreadable results, and agents without results.
func prune(db *bbolt.DB, now time.Time) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		all := tx.Bucket(results)
		var empty [][]byte
		err := all.ForEachBucket(func(agent []byte) error {
			b, left := all.Bucket(agent), 0
			var old [][]byte
			err := b.ForEach(func(k, v []byte) error {
				if r, err := decode(v); err != nil || now.Sub(r.At) > MaxAge {
					old = append(old, slices.Clone(k))
				} else {
					left++
				}
				return nil
			})
			for _, k := range old {
				err = errors.Join(err, b.Delete(k))
			}
			if left == 0 {
				empty = append(empty, slices.Clone(agent))
			}
			return err
		})
		for _, agent := range empty {
			err = errors.Join(err, all.DeleteBucket(agent))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete old results from the history: %w", err)
	}
	return nil
}

// wasteful reports whether the file is larger than a mebibyte and more than half of
// it is unused. bbolt reuses freed pages but does not shrink its file.
func wasteful(db *bbolt.DB, path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Size() < 1<<20 {
		return false
	}
	unused := int64(db.Stats().FreePageN+db.Stats().PendingPageN) * int64(db.Info().PageSize)
	return unused > info.Size()/2
}

// compact copies the data into a new file, which atomically replaces the old one. It
// closes the old one.
func compact(old *bbolt.DB, path string) (*bbolt.DB, error) {
	fail := func(err error) (*bbolt.DB, error) { return nil, fmt.Errorf("compact the history %s: %w", path, err) }
	fresh := path + ".compact"
	if err := wholefile.Remove(fresh); err != nil {
		return fail(errors.Join(err, old.Close()))
	}
	db, err := bbolt.Open(fresh, 0o600, nil)
	if err != nil {
		return fail(errors.Join(err, old.Close()))
	}
	err = bbolt.Compact(db, old, 1<<20)
	if err = errors.Join(err, db.Close(), old.Close()); err != nil {
		return fail(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fail(err)
	}
	return open(path)
}
