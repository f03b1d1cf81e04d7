// Package bounded decodes JSON that another program sent, within limits.
//
// A malicious sender makes a small message that is expensive to decode:
// lists of millions of elements, thousands of nested brackets, one
// string without an end, all of it compressed a thousandfold. The standard
// decoder reads such a text to its end before it returns an error. This package
// puts a guard in front of it:
//
//	source ──▶ guard ──▶ encoding/json ──▶ value
//	            │ bytes, items, depth, length of a string, length of an element
//	            │ the context
//	            ▼
//	      *Excess, or the context's error
//
// The guard looks at every byte once, as it passes, and needs no memory. A text
// that breaks a limit ends with an [Excess], whatever the decoder would have made
// of it. [List] decodes a long list element by element, so that the text is never
// held as a whole.
package bounded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits bound one JSON text. A limit of zero stands for its default.
type Limits struct {
	Bytes  int64 // of the whole text; 64 KiB by default
	Items  int   // elements and members in all; 16384 by default
	Depth  int   // of nested lists and objects; 32 by default
	String int   // bytes of one string as written; as many as Bytes by default
	// Element bounds the bytes of one element that List decodes; 64 KiB by
	// default.
	Element int64
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 64 << 10
	}
	if l.Items == 0 {
		l.Items = 16 << 10
	}
	if l.Depth == 0 {
		l.Depth = 32
	}
	if l.String == 0 {
		l.String = int(min(l.Bytes, 1<<30))
	}
	if l.Element == 0 {
		l.Element = 64 << 10
	}
	return l
}

// Excess is the error for a text that breaks a limit.
type Excess struct {
	What  string // "bytes", "items", …
	Limit int64
}

func (e *Excess) Error() string {
	return fmt.Sprintf("it has more than %d %s", e.Limit, e.What)
}

// ErrForm is wrapped by errors about the form of a text that is JSON.
var ErrForm = errors.New("the form is wrong")

// Decode reads one JSON value from r into v, and nothing may follow it but
// white space. Its error is an *Excess, the context's, the reader's, or
// encoding/json's.
func Decode(ctx context.Context, r io.Reader, l Limits, v any) error {
	g := newGuard(ctx, r, l)
	dec := json.NewDecoder(g)
	if err := dec.Decode(v); err != nil {
		return g.because(err)
	}
	return g.end(dec)
}

// Unmarshal is Decode for a text that is in memory.
func Unmarshal(data []byte, l Limits, v any) error {
	return Decode(context.Background(), bytes.NewReader(data), l, v)
}

// List reads one JSON value from r and calls use with every element of a list in
// it: the list that is the value of the member, if the value is an object, or
// the value itself, if member is empty. Other members are passed over. An error
// of use ends the reading and is returned unchanged.
func List[T any](ctx context.Context, r io.Reader, l Limits, member string, use func(T) error) error {
	g := newGuard(ctx, r, l)
	dec := json.NewDecoder(g)
	if member == "" {
		if err := elements(g, dec, use); err != nil {
			return err
		}
		return g.end(dec)
	}
	if err := g.delim(dec, '{'); err != nil {
		return err
	}
	found := false
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return g.because(err)
		}
		if key != member {
			if err := g.skip(dec); err != nil {
				return err
			}
			continue
		}
		if found {
			return fmt.Errorf("%w: the member %q occurs twice", ErrForm, member)
		}
		found = true
		if err := elements(g, dec, use); err != nil {
			return err
		}
	}
	if err := g.delim(dec, '}'); err != nil {
		return err
	}
	return g.end(dec)
}

// elements decodes a list. null is a list without elements, as everywhere in
// encoding/json.
func elements[T any](g *guard, dec *json.Decoder, use func(T) error) error {
	token, err := dec.Token()
	if err != nil {
		return g.because(err)
	}
	if token == nil {
		return nil
	}
	if token != json.Delim('[') {
		return fmt.Errorf("%w: %v stands where a list is expected", ErrForm, token)
	}
	for dec.More() {
		g.element = dec.InputOffset()
		var v T
		if err := dec.Decode(&v); err != nil {
			return g.because(err)
		}
		g.element = -1
		if err := use(v); err != nil {
			return err
		}
	}
	return g.delim(dec, ']')
}

// guard is a reader that judges the JSON text that passes through it.
type guard struct {
	ctx    context.Context
	r      io.Reader
	limits Limits
	err    error // why it refuses to go on

	passed  int64
	element int64 // where the current element begins, or -1
	items   int
	depth   int
	str     int // bytes of the current string, or -1
	escaped bool
	word    int // bytes of the current number or literal
	space   int // bytes of the current white space
}

// The decoder takes quadratic time for white space, and keeps a number as a
// whole.
const (
	maxWord  = 256
	maxSpace = 4096
)

func newGuard(ctx context.Context, r io.Reader, l Limits) *guard {
	return &guard{ctx: ctx, r: r, limits: l.withDefaults(), element: -1, str: -1}
}

// Read implements io.Reader. The decoder calls it in the middle of a value only
// while that value is not complete, so all that has passed since the current
// element began belongs to it.
func (g *guard) Read(p []byte) (int, error) {
	if g.err == nil {
		g.err = g.ctx.Err()
	}
	if g.err == nil && g.element >= 0 && g.passed-g.element > g.limits.Element {
		g.err = &Excess{"bytes in one element", g.limits.Element}
	}
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.r.Read(p)
	if g.err = g.judge(p[:n]); g.err != nil {
		return 0, g.err
	}
	if err != nil && err != io.EOF {
		g.err = err
	}
	return n, err
}

func (g *guard) judge(p []byte) error {
	if g.passed += int64(len(p)); g.passed > g.limits.Bytes {
		return &Excess{"bytes", g.limits.Bytes}
	}
	for _, c := range p {
		if g.str >= 0 {
			switch {
			case g.escaped:
				g.escaped = false
			case c == '\\':
				g.escaped = true
			case c == '"':
				g.str = -1
				continue
			}
			if g.str++; g.str > g.limits.String {
				return &Excess{"bytes in one string", int64(g.limits.String)}
			}
			continue
		}
		if c == ' ' || c == '\n' || c == '\t' || c == '\r' {
			g.word = 0
			if g.space++; g.space > maxSpace {
				return &Excess{"bytes of white space in a row", maxSpace}
			}
			continue
		}
		g.space = 0
		if g.word++; g.word > maxWord {
			return &Excess{"bytes in one number", maxWord}
		}
		switch c {
		case '"':
			g.str = 0
		case '[', '{':
			if g.depth++; g.depth > g.limits.Depth {
				return &Excess{"nested lists and objects", int64(g.limits.Depth)}
			}
			g.items++
		case ']', '}':
			g.depth--
		case ',':
			g.items++
		case ':':
		default:
			continue
		}
		g.word = 0
		if g.items > g.limits.Items {
			return &Excess{"elements and members", int64(g.limits.Items)}
		}
	}
	return nil
}

// because returns why the guard stopped the decoder, or the decoder's error.
func (g *guard) because(err error) error {
	if g.err != nil {
		return g.err
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: %w", ErrForm, io.ErrUnexpectedEOF)
	}
	return err
}

// delim reads one delimiter.
func (g *guard) delim(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return g.because(err)
	}
	if token != want {
		return fmt.Errorf("%w: %v stands where %v is expected", ErrForm, token, want)
	}
	return nil
}

// skip passes over one value, token by token.
func (g *guard) skip(dec *json.Decoder) error {
	for depth := 0; ; {
		token, err := dec.Token()
		if err != nil {
			return g.because(err)
		}
		if d, ok := token.(json.Delim); ok && (d == '[' || d == '{') {
			depth++
		} else if ok {
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// end makes sure that nothing follows the value.
func (g *guard) end(dec *json.Decoder) error {
	_, err := dec.Token()
	switch {
	case err == io.EOF:
		return nil
	case err == nil:
		return fmt.Errorf("%w: data follows the value", ErrForm)
	}
	return g.because(err)
}
