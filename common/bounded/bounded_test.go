package bounded

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecodeReadsWhatFits(t *testing.T) {
	for _, text := range []string{
		`null`, ` {"a":[1,2,{"b":"c,[{\""}]} `, `"\\"`, `[[[[]]]]`, `"é"`,
	} {
		var want, got any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
			if err := Decode(t.Context(), r, Limits{}, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: %v, %v", text, name, got, err)
			}
		}
	}
}

func TestDecodeRefusesExcess(t *testing.T) {
	small := Limits{Bytes: 1000, Items: 10, Depth: 3, String: 20}
	for _, c := range []struct{ what, text string }{
		{"bytes", strings.Repeat(" ", 2000) + "1"},
		{"elements and members", "[" + strings.Repeat("0,", 20) + "0]"},
		{"elements and members", "[" + strings.Repeat("{},", 20) + "0]"},
		{"elements and members", `{` + strings.Repeat(`"a":0,`, 20) + `"a":0}`},
		{"nested lists and objects", "[[[[]]]]"},
		{"nested lists and objects", strings.Repeat(`{"a":`, 100)},
		{"bytes in one number", "[" + strings.Repeat("7", 300) + "]"},
		{"bytes in one string", `"` + strings.Repeat("x", 30) + `"`},
		{"bytes in one string", `{"` + strings.Repeat(`\"`, 30) + `":1}`},
	} {
		var v any
		var excess *Excess
		if err := Unmarshal([]byte(c.text), small, &v); !errors.As(err, &excess) || excess.What != c.what {
			t.Errorf("%.40q: %v, want too many %s", c.text, err, c.what)
		}
	}
}

func TestDecodeRefusesLongWhiteSpace(t *testing.T) {
	var v any
	var excess *Excess
	if err := Unmarshal([]byte("["+strings.Repeat(" ", 5000)+"]"), Limits{}, &v); !errors.As(err, &excess) || !strings.Contains(excess.What, "white space") {
		t.Errorf("got %v", err)
	}
}

func TestDecodeRefusesTextsThatAreNotJSON(t *testing.T) {
	for _, text := range []string{"", "{", "[1", `"a`, "1 2", "{} {}", "nul", `{"a"}`, "\xff"} {
		var v any
		if err := Unmarshal([]byte(text), Limits{}, &v); err == nil {
			t.Errorf("%q was accepted as %v", text, v)
		}
	}
}

// endless yields its text forever.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) { return copy(p, e.text), nil }

func TestDecodeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var v any
	if err := Decode(ctx, endless{"0,"}, Limits{}, &v); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDecodePassesTheReadersError(t *testing.T) {
	broken := errors.New("broken")
	var v any
	if err := Decode(t.Context(), io.MultiReader(strings.NewReader("[1,"), iotest.ErrReader(broken)), Limits{}, &v); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type item struct{ Path string }

func TestListCallsWithEveryElement(t *testing.T) {
	for _, c := range []struct {
		member, text string
		want         []string
	}{
		{"files", `{"files":[{"path":"a"},{"path":"b"}]}`, []string{"a", "b"}},
		{"files", `{"x":{"files":[{"path":"no"}]},"files":[{"path":"a"}],"y":[1,[2]],"z":"s"}`, []string{"a"}},
		{"files", `{"files":null}`, nil},
		{"files", `{}`, nil},
		{"", `[{"path":"a"}]`, []string{"a"}},
		{"", `[]`, nil},
	} {
		var got []string
		err := List(t.Context(), iotest.OneByteReader(strings.NewReader(c.text)), Limits{}, c.member, func(i item) error {
			got = append(got, i.Path)
			return nil
		})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
	}
}

func TestListRefuses(t *testing.T) {
	stop := errors.New("enough")
	for text, says := range map[string]string{
		`{`:                           "EOF",
		`{"files":{}}`:                "list",
		`{"files":7}`:                 "list",
		`{"files":[],"files":[]}`:     "twice",
		`{"files":[0]}`:               "unmarshal",
		`{"files":[{"path":"stop"}]}`: "enough",
		`{"files":[]} 1`:              "follows",
		`[]`:                          "expected",
		`{"files":[{"path":"a","x":[` + strings.Repeat("0,", 200) + `0]}]}`: "bytes in one element",
	} {
		err := List(t.Context(), iotest.OneByteReader(strings.NewReader(text)), Limits{Element: 100}, "files", func(i item) error {
			if i.Path == "stop" {
				return stop
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40s: %v, want an error that says %q", text, err, says)
		}
	}
}

// TestListHoldsOneElement reads 18 MiB and watches the heap meanwhile.
func TestListHoldsOneElement(t *testing.T) {
	line := strings.Repeat(`"0123456789abcde",`, 1<<10)
	text := []io.Reader{strings.NewReader("[")}
	for range 1 << 10 {
		text = append(text, strings.NewReader(line))
	}
	text = append(text, strings.NewReader("0]"))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	err := List(t.Context(), io.MultiReader(text...), Limits{Bytes: 64 << 20, Items: 1 << 21}, "", func(json.RawMessage) error {
		if n++; n%(1<<18) == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > before.HeapAlloc+4<<20 {
				t.Errorf("after %d elements it holds %d bytes", n, now.HeapAlloc-before.HeapAlloc)
			}
		}
		return nil
	})
	if err != nil || n != 1<<20+1 {
		t.Errorf("%d elements, %v", n, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{`{"files":[{"path":"a"}]}`, `[[["\""]]]`, `{"a":1,"b":[2,3]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want any
		err := Unmarshal(data, Limits{Bytes: 1 << 20, Items: 1 << 20, Depth: 1 << 20}, &got)
		var excess *Excess
		if errors.As(err, &excess) {
			return
		}
		if wantErr := json.Unmarshal(data, &want); (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v; encoding/json makes it %v, %v", got, err, want, wantErr)
		}
	})
}
