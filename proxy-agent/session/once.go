package session

import (
	"crypto/sha256"
	"encoding/binary"
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

// A record of the file is the start of the job id's SHA-256 and the time until
// which it counts, in Unix milliseconds; a time of zero means that it is free.
const (
	digestSize = 24
	recordSize = digestSize + 8
)

type jobDigest [digestSize]byte

func digestOf(id string) jobDigest {
	sum := sha256.Sum256([]byte(id))
	return jobDigest(sum[:digestSize])
}

// once remembers job ids for as long as a grant for them could still be valid,
// in a file that only the agent's user can read, so that a restart does not
// forget them. The file has room for all records from the start and is changed in
// place: a full disk does not keep the agent from remembering. It is safe for
// concurrent use.
type once struct {
	file string // empty: only in memory

	mu    sync.Mutex
	used  map[jobDigest]int // the record's place
	until [maxUsed]int64    // by place, in Unix milliseconds
	ids   [maxUsed]jobDigest
}

func openOnce(file string) (*once, error) {
	o := &once{file: file, used: map[jobDigest]int{}}
	if file == "" {
		return o, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = wholefile.Write(file, make([]byte, maxUsed*recordSize), 0o600)
		if err != nil {
			return nil, fmt.Errorf("make the file of used grants: %w", err)
		}
		return o, nil
	}
	if err == nil && len(data) != maxUsed*recordSize {
		err = fmt.Errorf("it has %d bytes instead of %d", len(data), maxUsed*recordSize)
	}
	if err != nil {
		return nil, fmt.Errorf("read the used grants in %s: %w; it does not matter any more a minute after the agent's last job, and can be deleted then", file, err)
	}
	for place := range maxUsed {
		record := data[place*recordSize:][:recordSize]
		if until := int64(binary.BigEndian.Uint64(record[digestSize:])); until != 0 {
			o.ids[place], o.until[place] = jobDigest(record), until
			o.used[o.ids[place]] = place
		}
	}
	return o, nil
}

// take remembers id until the given time. It fails if id is already remembered,
// and if it cannot be.
func (o *once) take(id string, now, until time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for other, place := range o.used {
		if now.UnixMilli() > o.until[place] {
			delete(o.used, other)
			o.until[place] = 0
		}
	}
	digest := digestOf(id)
	if _, ok := o.used[digest]; ok {
		return fmt.Errorf("%w, for job %s", ErrReplay, id)
	}
	if len(o.used) >= maxUsed {
		return fmt.Errorf("%d grants were used in a short time; no more are accepted until they have expired", maxUsed)
	}
	place := 0
	for o.until[place] != 0 {
		place++
	}
	if err := o.save(place, digest, until.UnixMilli()); err != nil {
		return fmt.Errorf("remember that the grant for job %s is used: %w", id, err)
	}
	o.ids[place], o.until[place], o.used[digest] = digest, until.UnixMilli(), place
	return nil
}

func (o *once) save(place int, digest jobDigest, until int64) error {
	if o.file == "" {
		return nil
	}
	f, err := os.OpenFile(o.file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	record := binary.BigEndian.AppendUint64(digest[:], uint64(until))
	_, err = f.WriteAt(record, int64(place*recordSize))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
