package flashmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Parse reads a flasher_args.json. Unknown objects are skipped, as newer ESP-IDF versions
// may add some; known objects must be valid. Paths are cleaned, so that "./app.bin"
// becomes "app.bin". The returned map passes Validate.
func Parse(data []byte) (*Map, error) {
	m, err := parse(data, cleaned)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", FileName, err)
	}
	return m, nil
}

// ParseIn reads a flasher_args.json that lies in the folder dir of a larger tree, and
// returns a map whose paths are relative to the root of the tree. A build may name
// files beside its own folder, such as "../data/storage.bin", but none outside the tree.
// dir has forward slashes and no "..".
func ParseIn(dir string, data []byte) (*Map, error) {
	m, err := parse(data, func(p string) string {
		if path.IsAbs(p) {
			return p // which Validate refuses
		}
		return path.Join(dir, p)
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", FileName, err)
	}
	return m, nil
}

// cleaned removes "./" and doubled slashes from a path. It returns a path with ".."
// unchanged, so that Validate refuses it.
func cleaned(p string) string {
	if p == "" || slices.Contains(strings.Split(p, "/"), "..") {
		return p
	}
	return path.Clean(p)
}

func parse(data []byte, place func(string) string) (*Map, error) {
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("%d bytes is too long, at most %d are allowed", len(data), MaxFileSize)
	}
	members, err := object(data)
	if err != nil {
		return nil, err
	}
	m := &Map{}
	filesGiven := false
	for _, mb := range members {
		switch mb.key {
		case keyArgs:
		case keySettings:
			err = m.parseSettings(mb.value)
		case keyExtra:
			err = m.parseExtra(mb.value)
		case keyFiles:
			filesGiven = true
			err = m.parseFiles(mb.value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", mb.key, err)
		}
	}
	if !filesGiven {
		return nil, fmt.Errorf("there is no %q, which lists the images to flash", keyFiles)
	}
	for _, mb := range members {
		if slices.Contains(reserved, mb.key) {
			continue
		}
		if err := m.parseNamed(mb.key, mb.value); err != nil {
			return nil, fmt.Errorf("%s: %w", mb.key, err)
		}
	}
	for i := range m.Images {
		m.Images[i].Path = place(m.Images[i].Path)
	}
	m.Sort()
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Map) parseSettings(raw json.RawMessage) error {
	var s struct {
		Mode string `json:"flash_mode"`
		Size string `json:"flash_size"`
		Freq string `json:"flash_freq"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	m.Mode, m.Size, m.Freq = s.Mode, s.Size, s.Freq
	return nil
}

func (m *Map) parseExtra(raw json.RawMessage) error {
	var e struct {
		After  string  `json:"after"`
		Before string  `json:"before"`
		Stub   *choice `json:"stub"`
		Chip   string  `json:"chip"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	m.After, m.Before, m.Chip = e.After, e.Before, e.Chip
	if e.Stub != nil {
		m.Stub = (*bool)(e.Stub)
	}
	return nil
}

func (m *Map) parseFiles(raw json.RawMessage) error {
	members, err := object(raw)
	if err != nil {
		return err
	}
	if len(members) > MaxImages {
		return fmt.Errorf("%d images, at most %d are allowed", len(members), MaxImages)
	}
	for _, mb := range members {
		off, err := parseOffset(mb.key)
		if err != nil {
			return err
		}
		var p string
		if err := json.Unmarshal(mb.value, &p); err != nil {
			return fmt.Errorf("the file at %s: %w", mb.key, err)
		}
		m.Images = append(m.Images, Image{Offset: off, Path: p})
	}
	return nil
}

// parseNamed takes an object such as "app". It ignores an object that is not about an
// image, or about an image that flash_files does not list.
func (m *Map) parseNamed(name string, raw json.RawMessage) error {
	var n struct {
		Offset    *string `json:"offset"`
		File      *string `json:"file"`
		Encrypted choice  `json:"encrypted"`
	}
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	if err := json.Unmarshal(raw, &n); err != nil {
		return err
	}
	if n.Offset == nil || n.File == nil {
		return nil
	}
	off, err := parseOffset(*n.Offset)
	if err != nil {
		return err
	}
	for i := range m.Images {
		im := &m.Images[i]
		if im.Offset != off {
			continue
		}
		if im.Path != *n.File {
			return fmt.Errorf("names %q for offset 0x%x, but %s has %q there", *n.File, off, keyFiles, im.Path)
		}
		if im.Name != "" {
			return fmt.Errorf("the image at 0x%x is already called %q", off, im.Name)
		}
		im.Name, im.Encrypted = name, bool(n.Encrypted)
		return nil
	}
	return nil
}

// choice is a boolean that the file may write as a string.
type choice bool

func (c *choice) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "true":
		*c = true
	case "false", "", "null":
		*c = false
	default:
		return fmt.Errorf("%s is neither true nor false", b)
	}
	return nil
}

// parseOffset reads "0x1000" or "4096". Nothing else that strconv would take
// (octal, underscores, signs) appears in these files.
func parseOffset(s string) (uint32, error) {
	digits, base := s, 10
	if h, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		digits, base = h, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a flash offset such as 0x10000", s)
	}
	return uint32(n), nil
}

type member struct {
	key   string
	value json.RawMessage
}

// object splits a JSON object into its members in order. Unlike a map it
// refuses a key that occurs twice, of which one value would be lost.
func object(data []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	t, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	if t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var out []member
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not valid JSON: %w", err)
		}
		key, _ := t.(string)
		if seen[key] {
			return nil, fmt.Errorf("%q occurs twice", key)
		}
		seen[key] = true
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, fmt.Errorf("not valid JSON in %q: %w", key, err)
		}
		out = append(out, member{key, v})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("there is more after the JSON object")
	}
	return out, nil
}
