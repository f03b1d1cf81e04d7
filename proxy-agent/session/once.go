package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/farforge/farforge/common/wholefile"
)

// ErrReplay is wrapped by the error for a grant whose job was served before.
var ErrReplay = errors.New("the grant was used before")

// maxUsed bounds how many used grants are remembered. An agent cannot serve
// nearly as many in their short life.
const maxUsed = 4096

// once remembers job ids for as long as a grant for them could still be valid,
// in a file that only the agent's user can read, so that a restart does not
// make it forget. It is safe for concurrent use.
type once struct {
	file string // empty: only in memory

	mu   sync.Mutex
	used map[string]time.Time // until when
}

func openOnce(file string) (*once, error) {
	o := &once{file: file, used: map[string]time.Time{}}
	if file == "" {
		return o, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &o.used)
	}
	if err != nil {
		return nil, fmt.Errorf("read the used grants in %s: %w; a minute after the agent's last job nothing in it matters, and it can be deleted", file, err)
	}
	if o.used == nil { // the file said null
		o.used = map[string]time.Time{}
	}
	return o, nil
}

// take remembers id until the given time. It fails if id is remembered
// already, or cannot be.
func (o *once) take(id string, now, until time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for other, end := range o.used {
		if now.After(end) {
			delete(o.used, other)
		}
	}
	if _, ok := o.used[id]; ok {
		return fmt.Errorf("%w, for job %s", ErrReplay, id)
	}
	if len(o.used) >= maxUsed {
		return fmt.Errorf("%d grants were used in a short time; no more are accepted until they have expired", maxUsed)
	}
	o.used[id] = until
	if err := o.save(); err != nil {
		delete(o.used, id)
		return fmt.Errorf("remember that the grant for job %s is used: %w", id, err)
	}
	return nil
}

func (o *once) save() error {
	if o.file == "" {
		return nil
	}
	data, err := json.Marshal(o.used)
	if err != nil {
		return err
	}
	return wholefile.Write(o.file, data, 0o600)
}
