package flash

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"unicode"
)

// tableOffset is the default offset of the partition table in ESP-IDF and Arduino.
const tableOffset = 0x8000

// partition is an entry of the table.
type partition struct {
	span
	name string
}

// parsePartitions reads a partition table as ESP-IDF's "Partition Tables" describes it:
// entries of 32 bytes that begin with AA 50, up to one that does not. Names come from a
// board, so only printable characters are kept.
func parsePartitions(b []byte) []partition {
	const entry = 32
	var out []partition
	for ; len(b) >= entry && b[0] == 0xAA && b[1] == 0x50; b = b[entry:] {
		start, size := int64(binary.LittleEndian.Uint32(b[4:])), int64(binary.LittleEndian.Uint32(b[8:]))
		name, _, _ := bytes.Cut(b[12:28], []byte{0})
		out = append(out, partition{span{start, start + size}, strings.Map(func(r rune) rune {
			if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
				return '?'
			}
			return r
		}, string(name))})
	}
	return out
}

// partitions returns the table that was written, or else the one in flash. Nil means
// that none can be read.
func (d *Device) partitions(ctx context.Context, regions []region) []partition {
	for _, r := range regions {
		if table := parsePartitions(r.data); len(table) > 0 {
			return table
		}
	}
	var b bytes.Buffer
	if err := d.Read(ctx, tableOffset, 0xC00, &b, nil); err != nil {
		d.log.Debug("the partition table cannot be read", "error", err)
		return nil
	}
	return parsePartitions(b.Bytes())
}
