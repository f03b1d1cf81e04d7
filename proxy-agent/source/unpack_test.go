package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/farforge/farforge/common/channel"
)

// layouts returns the same archive in every format.
func layouts(t testing.TB, members ...member) map[string][]byte {
	t.Helper()
	plain := tarOf(t, members...)
	all := map[string][]byte{".tar": plain, ".tar.gz": gzipOf(t, plain), ".tgz": gzipOf(t, plain), ".tar.zst": zstdOf(t, plain)}
	for _, m := range members {
		if m.flag == tar.TypeLink || m.flag == tar.TypeXGlobalHeader { // which a zip cannot hold
			return all
		}
	}
	all[".zip"] = zipOf(t, members...)
	return all
}

func TestUnpackEveryKindOfArchive(t *testing.T) {
	for end, data := range layouts(t,
		member{name: "p-1.0/", flag: tar.TypeDir, mode: 0o755},
		member{name: "p-1.0/Makefile", text: "all:\n"},
		member{name: "p-1.0/tools/gen", text: "#!/bin/sh\n", mode: 0o755},
		member{name: "p-1.0/copy/Makefile", text: "all:\n"}, // the same content twice
		member{name: "p-1.0/latest", flag: tar.TypeSymlink, link: "tools/gen"},
	) {
		t.Run(end, func(t *testing.T) {
			f := newFar(t)
			ref := f.serves("/p"+end, data)
			ref.StripComponents = 1
			m, err := f.fetch(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Files) != 4 {
				t.Errorf("manifest %+v", m.Files)
			}
			for path, want := range map[string]string{"Makefile": "all:\n", "copy/Makefile": "all:\n", "tools/gen": "#!/bin/sh\n", "latest": "#!/bin/sh\n"} {
				if got, err := os.ReadFile(filepath.Join(f.dir, path)); err != nil || string(got) != want {
					t.Errorf("%s: %q, %v", path, got, err)
				}
			}
			if info, err := os.Stat(filepath.Join(f.dir, "tools/gen")); err != nil || info.Mode().Perm()&0o111 == 0 {
				t.Errorf("tools/gen: %v, %v", info.Mode(), err)
			}
			if info, err := os.Stat(filepath.Join(f.dir, "Makefile")); err != nil || info.Mode().Perm()&0o111 != 0 {
				t.Errorf("Makefile: %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestWhereEntriesGo(t *testing.T) {
	for _, c := range []struct {
		name  string
		strip int
		want  string
	}{
		{"a/b", 0, "a/b"}, {"a/b", 1, "b"}, {"a/b", 2, ""}, {"a", 1, ""}, {"./a/b", 0, "a/b"}, {"./a/b", 1, "a/b"}, {"./././a", 0, "a"}, {".", 0, ""},
	} {
		u := &unpacking{strip: c.strip}
		if got, err := u.place(c.name); got != c.want || err != nil {
			t.Errorf("%q less %d: %q, %v", c.name, c.strip, got, err)
		}
	}
	f := newFar(t)
	f.refused(&channel.Source{URL: f.serves("/p.tar", tarOf(t, project...)).URL, SHA256: sum(tarOf(t, project...)), StripComponents: 1},
		channel.ProblemManifest, "the source's archive is refused: it lists no files")
}

func TestGitArchivesHaveAGlobalHeader(t *testing.T) {
	f := newFar(t)
	if _, err := f.fetch(t.Context(), f.serves("/p.tar", tarOf(t, member{flag: tar.TypeXGlobalHeader}, project[0]))); err != nil {
		t.Error(err)
	}
}

func TestHostileArchives(t *testing.T) {
	for name, c := range map[string]struct {
		members []member
		strip   int
		code    channel.ProblemCode
		says    string
	}{
		"parent":            {members: []member{{name: "../escaped"}}, code: channel.ProblemSource, says: `"../escaped" leads out of the project`},
		"parent, stripped":  {members: []member{{name: "../escaped"}}, strip: 1, code: channel.ProblemSource, says: "leads out"},
		"parent inside":     {members: []member{{name: "a/../../escaped"}}, code: channel.ProblemSource, says: "leads out"},
		"absolute":          {members: []member{{name: "/tmp/escaped"}}, code: channel.ProblemSource, says: "leads out"},
		"absolute, less":    {members: []member{{name: "/tmp/escaped"}}, strip: 2, code: channel.ProblemSource, says: "leads out"},
		"backslash":         {members: []member{{name: `..\escaped`}}, code: channel.ProblemManifest, says: "has a backslash"},
		"control character": {members: []member{{name: "a\nb"}}, code: channel.ProblemManifest, says: "control character"},
		"symlink out":       {members: []member{{name: "l", flag: tar.TypeSymlink, link: "../x"}}, code: channel.ProblemManifest, says: "can lead out of the project"},
		"absolute symlink":  {members: []member{{name: "l", flag: tar.TypeSymlink, link: "/etc"}}, code: channel.ProblemManifest, says: "not a relative path"},
		"through a symlink": {members: []member{{name: "l", flag: tar.TypeSymlink, link: "d"}, {name: "l/x"}}, code: channel.ProblemManifest, says: "which is not a folder"},
		"twice":             {members: []member{{name: "x"}, {name: "x"}}, code: channel.ProblemManifest, says: "listed twice"},
		"differ in case":    {members: []member{{name: "x"}, {name: "X"}}, code: channel.ProblemManifest, says: "differ only in case"},
		"twice, stripped":   {members: []member{{name: "a/x"}, {name: "b/x"}}, strip: 1, code: channel.ProblemManifest, says: "listed twice"},
		"hard link":         {members: []member{{name: "x"}, {name: "h", flag: tar.TypeLink, link: "x"}}, code: channel.ProblemSource, says: `"h" is a hard link`},
		"device":            {members: []member{{name: "d", flag: tar.TypeChar}}, code: channel.ProblemSource, says: `"d" is`},
		"named pipe":        {members: []member{{name: "p", flag: tar.TypeFifo}}, code: channel.ProblemSource, says: `"p" is`},
	} {
		for end, data := range layouts(t, c.members...) {
			t.Run(name+end, func(t *testing.T) {
				f := newFar(t)
				ref := f.serves("/p"+end, data)
				ref.StripComponents = c.strip
				f.refused(ref, c.code, c.says)
			})
		}
	}
}

func TestDecompressionBombs(t *testing.T) {
	const limit = 1 << 20
	zeros := strings.Repeat("\x00", limit)
	for name, archives := range map[string]map[string][]byte{
		"one large file":    layouts(t, member{name: "x", text: zeros + "!"}),
		"many files":        layouts(t, member{name: "x", text: zeros}, member{name: "y", text: "!"}),
		"stripped contents": {".tar.gz": gzipOf(t, tarOf(t, append(stuffing(zeros, 4), project...)...))},
	} {
		for end, data := range archives {
			t.Run(name+end, func(t *testing.T) {
				f := newFar(t)
				f.cfg.MaxUnpacked = limit
				ref := f.serves("/p"+end, data)
				if name == "stripped contents" {
					ref.StripComponents = 1
				}
				f.refused(ref, channel.ProblemSizeLimit, "unpacks to more than 1048576 bytes")
			})
		}
	}
	t.Run("as much as is allowed", func(t *testing.T) {
		f := newFar(t)
		f.cfg.MaxUnpacked = limit
		if _, err := f.fetch(t.Context(), f.serves("/p.tgz", gzipOf(t, tarOf(t, member{name: "x", text: zeros})))); err != nil {
			t.Error(err)
		}
	})
	t.Run("large window", func(t *testing.T) {
		f := newFar(t)
		data := zstdOf(t, tarOf(t, member{name: "x", text: zeros + "!"}), zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
		data[5] = 0xa0 // the frame's window descriptor: 2^(10+20) bytes
		f.refused(f.serves("/p.tar.zst", data), channel.ProblemSource, "the source's archive is damaged: window size exceeded")
	})
	t.Run("long list of files", func(t *testing.T) {
		f := newFar(t)
		f.refused(f.serves("/p.zip", zipOf(t, longNames(600)...)), channel.ProblemSizeLimit, "a list of files longer than")
	})
}

// stuffing returns files that stripping drops.
func stuffing(text string, n int) (all []member) {
	for i := range n {
		all = append(all, member{name: strings.Repeat("x", i+1), text: text})
	}
	return all
}

// longNames returns files with names of 60 KB.
func longNames(n int) (all []member) {
	for i := range n {
		all = append(all, member{name: strings.Repeat("x", 60_000+i)})
	}
	return all
}

func TestDamagedArchives(t *testing.T) {
	for end, data := range layouts(t, member{name: "x", text: strings.Repeat("hello ", 10_000)}) {
		for name, damaged := range map[string][]byte{
			"cut":       data[:len(data)/2],
			"no such":   []byte("hello"),
			"flipped":   flip(data, len(data)/2),
			"encrypted": bytes.ReplaceAll(data, []byte("PK\x01\x02\x14\x03\x14\x00\x08\x00"), []byte("PK\x01\x02\x14\x03\x14\x00\x09\x00")),
		} {
			if end != ".zip" && (name == "flipped" || name == "encrypted") {
				continue // the hash of the archive is what checks the contents of a tar
			}
			t.Run(name+end, func(t *testing.T) {
				f := newFar(t)
				says := "the source's archive is damaged"
				if name == "encrypted" {
					says = `"x" is encrypted`
				}
				f.refused(f.serves("/p"+end, damaged), channel.ProblemSource, says)
			})
		}
	}
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x10
	return data
}

// FuzzUnpack checks that no archive writes outside the project.
func FuzzUnpack(f *testing.F) {
	members := []member{{name: "a/x", text: "hello", mode: 0o755}, {name: "a/l", flag: tar.TypeSymlink, link: "x"}}
	kinds := []format{formatTar, formatGzip, formatZstd, formatZip}
	plain := tarOf(f, members...)
	for kind, data := range [][]byte{plain, gzipOf(f, plain), zstdOf(f, plain), zipOf(f, members...)} {
		f.Add(byte(kind), 1, data)
		f.Add(byte(kind), 0, data)
	}
	f.Add(byte(0), 0, tarOf(f, member{name: "../escaped", text: "x"}))
	f.Add(byte(3), 0, zipOf(f, member{name: "l", flag: tar.TypeSymlink, link: ".."}, member{name: "l/escaped"}))
	const limit = 1 << 20
	f.Fuzz(func(t *testing.T, kind byte, strip int, data []byte) {
		outer := t.TempDir()
		file, err := os.Create(filepath.Join(outer, "archive"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(outer, "project"), 0o755); err != nil {
			t.Fatal(err)
		}
		u := &unpacking{
			ctx: t.Context(), archive: file, size: int64(len(data)),
			format: kinds[int(kind)%len(kinds)], strip: max(strip, 0), limit: limit,
		}
		m, err := u.into(openRoot(t, filepath.Join(outer, "project")))
		entries, _ := os.ReadDir(outer)
		if len(entries) != 2 {
			t.Fatalf("something escaped: %v", entries)
		}
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil || m.Size() > limit {
			t.Fatalf("%d bytes, %v", m.Size(), err)
		}
		for _, f := range m.Files {
			if _, err := os.Lstat(filepath.Join(outer, "project", f.Path)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestCancelReachesSparseFiles cancels while the agent reads the hole of a file
// of 3 GiB, which is in an archive of 10 KiB.
func TestCancelReachesSparseFiles(t *testing.T) {
	program, err := exec.LookPath("tar")
	if err != nil {
		t.Fatal(err) // every Unix system has it
	}
	dir := t.TempDir()
	for name, size := range map[string]int64{"hole": 3 << 30} {
		if err := errors.Join(os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600), os.Truncate(filepath.Join(dir, name), size)); err != nil {
			t.Fatal(err)
		}
	}
	data, err := exec.CommandContext(t.Context(), program, "--format=posix", "--sparse", "-C", dir, "-cf", "-", "hole").Output()
	if err != nil || len(data) > 100<<10 {
		t.Fatalf("tar made %d bytes, %v", len(data), err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "a.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	u := &unpacking{ctx: ctx, archive: file, size: int64(len(data)), format: formatTar, limit: 4 << 30}
	err = u.walk(func(_ entry, r io.Reader) error {
		cancel()
		n, err := io.Copy(io.Discard, r)
		if n > 1<<20 {
			t.Errorf("%d bytes were read after the cancel", n)
		}
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
