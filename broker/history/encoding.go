package history

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/farforge/farforge/broker/scheduler"
)

// version is the first byte of each stored result.
const version = 2

// maxName bounds the strings in a result; the API allows less.
const maxName = 255

func encode(r *scheduler.Result) []byte {
	b := []byte{version, byte(r.Verdict) | byte(r.Warmth)<<4}
	b = binary.AppendVarint(b, r.At.UnixNano())
	b = binary.AppendVarint(b, int64(r.Took))
	b = binary.BigEndian.AppendUint64(b, r.Project)
	for _, s := range []string{r.Target, r.Toolchain} {
		s = s[:min(len(s), maxName)]
		b = append(append(b, byte(len(s))), s...)
	}
	return b
}

var errUnreadable = errors.New("the stored result is damaged or of another version")

func decode(b []byte) (r scheduler.Result, err error) {
	if len(b) < 2 || b[0] != version {
		return r, errUnreadable
	}
	r.Verdict, r.Warmth = scheduler.Verdict(b[1]&0xf), scheduler.Warmth(b[1]>>4)
	if r.Verdict < scheduler.Built || r.Verdict > scheduler.Failed || r.Warmth > scheduler.Warm {
		return r, errUnreadable
	}
	b = b[2:]
	at, n := binary.Varint(b)
	if n <= 0 {
		return r, errUnreadable
	}
	took, m := binary.Varint(b[n:])
	if m <= 0 || took < 0 {
		return r, errUnreadable
	}
	b = b[n+m:]
	if len(b) < 8 {
		return r, errUnreadable
	}
	r.At, r.Took, r.Project = time.Unix(0, at), time.Duration(took), binary.BigEndian.Uint64(b)
	b = b[8:]
	for _, s := range []*string{&r.Target, &r.Toolchain} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return r, errUnreadable
		}
		*s = string(b[1 : 1+int(b[0])])
		b = b[1+int(b[0]):]
	}
	if len(b) != 0 {
		return r, errUnreadable
	}
	return r, nil
}
