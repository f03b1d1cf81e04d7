package simulator

import (
	"bytes"
	"crypto/md5"
	"sync"
)

const sectorSize = 0x1000

// nor is a NOR flash part: erasing a sector sets every bit, writing can only
// clear bits. It is safe for concurrent use.
type nor struct {
	mu      sync.Mutex
	cells   []byte
	corrupt bool
}

func newNOR(size int, contents []byte, corrupt bool) *nor {
	n := &nor{cells: bytes.Repeat([]byte{0xFF}, size), corrupt: corrupt}
	copy(n.cells, contents)
	return n
}

// inside reports whether a range lies in the part. It takes 64-bit numbers so that
// a sum of two 32-bit ones cannot wrap.
func (n *nor) inside(addr, length uint64) bool { return addr+length <= uint64(len(n.cells)) }

// erase sets the sectors that the range touches; false if it leaves the part.
func (n *nor) erase(addr, length uint32) bool {
	start := uint64(addr) / sectorSize * sectorSize
	end := (uint64(addr) + uint64(length) + sectorSize - 1) / sectorSize * sectorSize
	if length == 0 {
		return n.inside(uint64(addr), 0)
	}
	if !n.inside(start, end-start) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := start; i < end; i++ {
		n.cells[i] = 0xFF
	}
	return true
}

// write clears bits. It reports whether the range is inside the part and
// whether the cells now read as p, which they do not where a bit would have had
// to be set.
func (n *nor) write(addr uint32, p []byte) (inside, same bool) {
	if !n.inside(uint64(addr), uint64(len(p))) {
		return false, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	cells := n.cells[addr : int(addr)+len(p)]
	for i, b := range p {
		cells[i] &= b
	}
	same = bytes.Equal(cells, p)
	if n.corrupt {
		// A bad part, found by MD5 only: clear the lowest bit that is set.
		for i := range cells {
			if cells[i] != 0 {
				cells[i] &= cells[i] - 1
				break
			}
		}
	}
	return true, same
}

// read copies a range; false if it leaves the part.
func (n *nor) read(addr, length uint32) ([]byte, bool) {
	if !n.inside(uint64(addr), uint64(length)) {
		return nil, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return bytes.Clone(n.cells[addr : uint64(addr)+uint64(length)]), true
}

// digest returns the MD5 of a range; false if it leaves the part.
func (n *nor) digest(addr, length uint32) (sum [md5.Size]byte, inside bool) {
	if !n.inside(uint64(addr), uint64(length)) {
		return sum, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return md5.Sum(n.cells[addr : uint64(addr)+uint64(length)]), true
}

// wrapped reads a range. The part ignores the upper address bits.
func (n *nor) wrapped(addr, length uint32) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]byte, 0, length)
	for uint32(len(out)) < length {
		at := (uint64(addr) + uint64(len(out))) % uint64(len(n.cells))
		left := length - uint32(len(out))
		out = append(out, n.cells[at:min(at+uint64(left), uint64(len(n.cells)))]...)
	}
	return out
}

// wrappedDigest returns the MD5 of a range that may wrap. At most the size of the part is
// read, so that no request keeps the simulation busy.
func (n *nor) wrappedDigest(addr, length uint32) [md5.Size]byte {
	return md5.Sum(n.wrapped(addr, min(length, uint32(len(n.cells)))))
}

// snapshot copies the whole part.
func (n *nor) snapshot() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return bytes.Clone(n.cells)
}
