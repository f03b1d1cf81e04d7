package channel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

var someHash = strings.Repeat("ab", 32)

func file(path string) File { return File{Path: path, Kind: KindFile, Size: 1, SHA256: someHash} }
func link(path, to string) File {
	return File{Path: path, Kind: KindSymlink, Link: to}
}

func TestManifestsThatAreAccepted(t *testing.T) {
	for name, files := range map[string][]File{
		"plain":                 {file("main.c"), file("src/a.c"), file("src/b.c")},
		"dots in names":         {file("..a/b..c"), file("...d")},
		"other scripts, spaces": {file("größe/数.c"), file("a b")},
		"link beside":           {link("a", "b"), file("b")},
		"link up within":        {link("x/y/l", "../../z"), file("z")},
		"link to the root":      {link("x/l", "..")},
		"dangling link":         {link("l", "nowhere")},
	} {
		if err := (&Manifest{files}).Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	spoil := func(edit func(*File)) []File {
		f := file("a")
		edit(&f)
		return []File{f}
	}
	tests := []struct {
		name  string
		files []File
		says  string
	}{
		{"nothing", nil, "no files"},
		{"parent", []File{file("../a")}, "leads out"},
		{"parent within", []File{file("a/../../b")}, "leads out"},
		{"absolute", []File{file("/etc/passwd")}, "absolute"},
		{"backslash", []File{file(`..\a`)}, "backslash"},
		{"empty", []File{file("")}, "empty"},
		{"dot", []File{file("./a")}, "not clean"},
		{"double slash", []File{file("a//b")}, "not clean"},
		{"folder", []File{file("a/")}, "not clean"},
		{"NUL", []File{file("a\x00b")}, "control character"},
		{"line break", []File{file("a\nb")}, "control character"},
		{"not UTF-8", []File{file("a\xff")}, "not UTF-8"},
		{"long path", []File{file(strings.Repeat("a/", 600) + "b")}, "longer than"},
		{"long name", []File{file(strings.Repeat("a", 256))}, "longer than"},
		{"twice", []File{file("a"), file("a")}, "listed twice"},
		{"case", []File{file("Makefile"), file("makefile")}, "differ only in case"},
		{"case, not ASCII", []File{file("STRASSE"), file("straße")}, "differ only in case"},
		{"Unicode form", []File{file("caf\u00e9"), file("cafe\u0301")}, "Unicode form"},
		{"Unicode form of a folder", []File{file("caf\u00e9/a"), file("cafe\u0301/b")}, "Unicode form"},
		{"device name", []File{file("src/aux.c")}, "device"},
		{"device name in lower case", []File{file("com1/x")}, "device"},
		{"colon", []File{file("a:b")}, "colon"},
		{"dot at the end", []File{file("a./b")}, "dot or a space"},
		{"space at the end", []File{file("a ")}, "dot or a space"},
		{"deep", []File{file(strings.Repeat("a/", MaxDepth+1) + "b")}, "folders"},
		{"link to a drive", []File{link("a", "C:b")}, "not a relative path"},
		{"copies", []File{
			{Path: "a", Kind: KindFile, Size: 1 << 29, SHA256: someHash},
			{Path: "b", Kind: KindFile, Size: 1 << 29, SHA256: someHash},
			{Path: "c", Kind: KindFile, Size: 1 << 29, SHA256: someHash},
		}, "equal contents"},
		{"case of a folder", []File{file("Src/a"), file("src/b")}, "differ only in case"},
		{"below a file", []File{file("a"), file("a/b")}, "not a folder"},
		{"file over a folder", []File{file("a/b"), file("a")}, "both a file and a folder"},
		{"below a symlink", []File{link("a", "b"), file("a/c")}, "not a folder"},
		{"device", spoil(func(f *File) { f.Kind = "device" }), "only regular files"},
		{"hash in capitals", spoil(func(f *File) { f.SHA256 = strings.ToUpper(someHash) }), "SHA-256"},
		{"negative size", spoil(func(f *File) { f.Size = -1 }), "size"},
		{"too large together", []File{
			{Path: "a", Kind: KindFile, Size: MaxTreeSize, SHA256: someHash},
			{Path: "b", Kind: KindFile, Size: 1, SHA256: strings.Repeat("cd", 32)},
		}, "larger than"},
		{"one hash, two sizes", []File{file("a"), {Path: "b", Kind: KindFile, Size: 2, SHA256: someHash}}, "another size"},
		{"link out", []File{link("a", "../b")}, "out of the project"},
		{"link out from below", []File{link("x/a", "../../b")}, "out of the project"},
		{"link absolute", []File{link("a", "/etc/passwd")}, "not a relative path"},
		{"link that climbs from another", []File{link("p/q/s", "../.."), link("m", "p/q/s/../etc")}, "out of the project"},
		{"link to nothing", []File{link("a", "")}, "no usable target"},
		{"link with content", []File{{Path: "a", Kind: KindSymlink, Link: "b", Size: 1}}, "size or a hash"},
		{"file with target", spoil(func(f *File) { f.Link = "b" }), "link target"},
	}
	for _, tt := range tests {
		err := (&Manifest{tt.files}).Validate()
		var p *Problem
		if !errors.As(err, &p) || !strings.Contains(p.Message, tt.says) {
			t.Errorf("%s: got %v, want a problem that says %q", tt.name, err, tt.says)
			continue
		}
		if p.Code != ProblemManifest && p.Code != ProblemSizeLimit {
			t.Errorf("%s: code %s", tt.name, p.Code)
		}
	}
}

// TestManifestsThatAreTooLarge has few bytes on the wire and much to check.
func TestManifestsThatAreTooLarge(t *testing.T) {
	var deep, long []File
	for i := range 70_000 {
		deep = append(deep, link(fmt.Sprintf("%s%d/l", strings.Repeat(strconv.Itoa(i%10)+"/", MaxDepth-2), i), "x"))
		long = append(long, file(fmt.Sprintf("%s%d", strings.Repeat("a", 150), i)))
	}
	for name, files := range map[string][]File{"folders": deep, "paths": long, "files": make([]File, MaxFiles+1)} {
		var p *Problem
		if err := (&Manifest{files}).Validate(); !errors.As(err, &p) || p.Code != ProblemSizeLimit {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	for _, files := range [][]File{{file("a/b")}, {link("x/l", "../z")}, {file("../x")}} {
		data, _ := json.Marshal(Manifest{files})
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Manifest
		if json.Unmarshal(data, &m) != nil || m.Validate() != nil {
			return
		}
		for _, file := range m.Files {
			if file.Path == "" || file.Path[0] == '/' || strings.Contains("/"+file.Path+"/", "/../") {
				t.Fatalf("accepted the path %q", file.Path)
			}
		}
	})
}
