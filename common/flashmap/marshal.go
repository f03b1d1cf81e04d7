package flashmap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// MarshalFlasherArgs writes the map as ESP-IDF does, so that esptool, idf.py
// and Parse all read it. The output is indented, in a fixed order, and ends
// with a newline: the same map always gives the same bytes.
func (m *Map) MarshalFlasherArgs() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("writing %s: %w", FileName, err)
	}
	var args []any
	var settings, files, extra ordered
	for _, s := range []struct{ flag, key, value string }{
		{"--flash_mode", "flash_mode", m.Mode},
		{"--flash_size", "flash_size", m.Size},
		{"--flash_freq", "flash_freq", m.Freq},
	} {
		if s.value != "" {
			args = append(args, s.flag, s.value)
			settings.add(s.key, s.value)
		}
	}
	top := ordered{{keyArgs, append([]any{}, args...)}, {keySettings, settings}}
	for _, im := range m.Images {
		files.add(hex(im.Offset), im.Path)
	}
	top.add(keyFiles, files)
	for _, im := range m.Images {
		if im.Name != "" {
			top.add(im.Name, ordered{
				{"offset", hex(im.Offset)}, {"file", im.Path},
				{"encrypted", strconv.FormatBool(im.Encrypted)},
			})
		}
	}
	extra.addIf("after", m.After)
	extra.addIf("before", m.Before)
	if m.Stub != nil {
		extra.add("stub", *m.Stub)
	}
	extra.addIf("chip", m.Chip)
	top.add(keyExtra, extra)

	compact, err := encode(top)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", FileName, err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "    "); err != nil {
		return nil, fmt.Errorf("writing %s: %w", FileName, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func hex(n uint32) string { return fmt.Sprintf("0x%x", n) }

// ordered is a JSON object that keeps the order of its members.
type ordered []pair

type pair struct {
	key   string
	value any
}

func (o *ordered) add(key string, value any) { *o = append(*o, pair{key, value}) }

func (o *ordered) addIf(key, value string) {
	if value != "" {
		o.add(key, value)
	}
}

func (o ordered) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, p := range o {
		if i > 0 {
			out = append(out, ',')
		}
		k, err := encode(p.key)
		if err != nil {
			return nil, err
		}
		v, err := encode(p.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, k...), ':'), v...)
	}
	return append(out, '}'), nil
}

// encode is json.Marshal that leaves <, > and & in paths readable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
