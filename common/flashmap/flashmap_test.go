package flashmap

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func ptr(b bool) *bool { return &b }

var idf = Map{
	Chip: "esp32c3", Mode: "dio", Freq: "80m", Size: "2MB",
	Before: "default_reset", After: "hard_reset", Stub: ptr(true),
	Images: []Image{
		{Name: "bootloader", Offset: 0, Path: "bootloader/bootloader.bin"},
		{Name: "partition-table", Offset: 0x8000, Path: "partition_table/partition-table.bin"},
		{Offset: 0xd000, Path: "ota_data_initial.bin"},
		{Name: "app", Offset: 0x10000, Path: "hello_world.bin", Encrypted: true},
	},
}

func TestParseWhatESPIDFWrites(t *testing.T) {
	data, err := os.ReadFile("testdata/idf5.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*m, idf) {
		t.Errorf("got  %+v\nwant %+v", *m, idf)
	}
}

func TestParseOlderFileWithoutStubAndChip(t *testing.T) {
	m, err := Parse([]byte(`{"flash_settings":{"flash_mode":"dio","flash_size":"detect","flash_freq":"40m"},
		"flash_files":{"0x10000":"a.bin","0x1000":"b.bin"},
		"app":{"offset":"0x10000","file":"a.bin"},
		"storage":{"offset":"0x110000","file":"not/flashed.bin","encrypted":"false"},
		"extra_esptool_args":{"after":"hard_reset","before":"default_reset"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Map{Mode: "dio", Size: "detect", Freq: "40m", Before: "default_reset", After: "hard_reset",
		Images: []Image{{Offset: 0x1000, Path: "b.bin"}, {Name: "app", Offset: 0x10000, Path: "a.bin"}}}
	if !reflect.DeepEqual(*m, want) {
		t.Errorf("got  %+v\nwant %+v", *m, want)
	}
}

func TestParseNamesThatProjectsUse(t *testing.T) {
	m, err := Parse([]byte(`{"flash_files":{"0x0":"./a.bin","0x1000":"data//certs.bin","0x2000":"x/./y.bin"},
		"user data":{"offset":"0x0","file":"./a.bin"},"_certs":{"offset":"0x1000","file":"data//certs.bin"},"größe":{"offset":"0x2000","file":"x/./y.bin"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Image{{Name: "user data", Path: "a.bin"}, {Name: "_certs", Offset: 0x1000, Path: "data/certs.bin"}, {Name: "größe", Offset: 0x2000, Path: "x/y.bin"}}
	if !reflect.DeepEqual(m.Images, want) {
		t.Errorf("got %+v", m.Images)
	}
}

func TestParseInATree(t *testing.T) {
	in := func(p string) []byte { return []byte(`{"flash_files":{"0x0":"` + p + `"}}`) }
	for p, want := range map[string]string{
		"app.bin": "build/app.bin", "./app.bin": "build/app.bin", "../data/storage.bin": "data/storage.bin", "../../x": "", "/etc/passwd": "",
	} {
		m, err := ParseIn("build", in(p))
		if (err == nil) != (want != "") || err == nil && m.Images[0].Path != want {
			t.Errorf("%s: %+v, %v", p, m, err)
		}
	}
	if m, err := ParseIn(".", in("app.bin")); err != nil || m.Images[0].Path != "app.bin" {
		t.Errorf("in the root: %+v, %v", m, err)
	}
}

func TestMarshalReadsLikeESPIDF(t *testing.T) {
	want, err := os.ReadFile("testdata/idf5.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := idf.MarshalFlasherArgs()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	for name, m := range map[string]Map{
		"full":    idf,
		"minimal": {Images: []Image{{Offset: 0, Path: "x"}}},
		"no stub": {Chip: "esp32", Stub: ptr(false), Images: []Image{{Name: "a", Offset: 0x1000, Path: "a&b <c>.bin"}}},
	} {
		data, err := m.MarshalFlasherArgs()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := Parse(data)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, data)
		}
		if !reflect.DeepEqual(*got, m) {
			t.Errorf("%s: got %+v, want %+v", name, *got, m)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	files := func(f string) string { return `{"flash_files":{` + f + `}}` }
	for _, tc := range []struct{ name, in, want string }{
		{"empty", ``, "not valid JSON"},
		{"array", `[]`, "not a JSON object"},
		{"cut short", `{"flash_files":{"0x0":"a.bin"}`, "not valid JSON"},
		{"tail", files(`"0x0":"a.bin"`) + `x`, "more after"},
		{"no files", `{"app":{"offset":"0x0","file":"a"}}`, `no "flash_files"`},
		{"no image", files(``), "no image"},
		{"too long", files(`"0x0":"` + strings.Repeat("a", MaxFileSize) + `"`), "too long"},
		{"word for offset", files(`"app":"a.bin"`), "not a flash offset"},
		{"negative offset", files(`"-4096":"a.bin"`), "not a flash offset"},
		{"33-bit offset", files(`"0x100000000":"a.bin"`), "not a flash offset"},
		{"underscores", files(`"0x1_000":"a.bin"`), "not a flash offset"},
		{"offset inside a sector", files(`"0x1010":"a.bin"`), "multiple of 4096"},
		{"same key twice", files(`"0x0":"a.bin","0x0":"b.bin"`), "occurs twice"},
		{"same offset twice", files(`"0x1000":"a.bin","4096":"b.bin"`), "two images at offset 0x1000"},
		{"absolute", files(`"0x0":"/etc/passwd"`), "plain path"},
		{"parent", files(`"0x0":"../a.bin"`), "plain path"},
		{"parent inside", files(`"0x0":"a/../../b.bin"`), "plain path"},
		{"folder itself", files(`"0x0":"."`), "plain path"},
		{"no path", files(`"0x0":""`), "plain path"},
		{"backslash", files(`"0x0":"..\\a.bin"`), "may not have"},
		{"drive", files(`"0x0":"C:a.bin"`), "may not have"},
		{"newline", files(`"0x0":"a\nb"`), "may not have"},
		{"path is a number", files(`"0x0":1`), "the file at 0x0"},
		{"contradiction", `{"flash_files":{"0x0":"a.bin"},"app":{"offset":"0x0","file":"b.bin"}}`, `"a.bin" there`},
		{"two names", `{"flash_files":{"0x0":"a"},"x":{"offset":"0","file":"a"},"y":{"offset":"0x0","file":"a"}}`, `already called "x"`},
		{"odd encrypted", `{"flash_files":{"0x0":"a"},"x":{"offset":"0","file":"a","encrypted":"perhaps"}}`, "neither true nor false"},
		{"bad name", `{"flash_files":{"0x0":"a"},"x\u001by":{"offset":"0","file":"a"}}`, "cannot be the name"},
		{"long name", `{"flash_files":{"0x0":"a"},"` + strings.Repeat("x", 65) + `":{"offset":"0","file":"a"}}`, "cannot be the name"},
		{"bad chip", `{"flash_files":{"0x0":"a"},"extra_esptool_args":{"chip":"--port"}}`, "not a valid chip"},
		{"bad size", `{"flash_files":{"0x0":"a"},"flash_settings":{"flash_size":"4 MB"}}`, "not a valid flash size"},
		{"number for a setting", `{"flash_files":{"0x0":"a"},"flash_settings":{"flash_size":4}}`, "flash_settings"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := Parse([]byte(tc.in))
			if err == nil {
				t.Fatalf("accepted: %+v", *m)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q does not say %q", err, tc.want)
			}
		})
	}
}

func TestMarshalRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		images     []Image
	}{
		{"reserved name", "cannot be the name", []Image{{Name: "flash_files", Path: "a"}}},
		{"doubled name", "two images are called", []Image{{Name: "a", Path: "a"}, {Name: "a", Offset: 4096, Path: "b"}}},
		{"unsorted", "sorted", []Image{{Offset: 4096, Path: "a"}, {Path: "b"}}},
		{"encrypted without a name", "needs a name", []Image{{Path: "a", Encrypted: true}}},
	} {
		m := Map{Images: tc.images}
		if _, err := m.MarshalFlasherArgs(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v does not say %q", tc.name, err, tc.want)
		}
	}
}

// FuzzParse holds that whatever Parse accepts is valid and survives a round trip.
func FuzzParse(f *testing.F) {
	seed, err := os.ReadFile("testdata/idf5.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"flash_files":{"0x0":"a.bin"},"app":{"offset":"0","file":"a.bin","encrypted":true}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		out, err := m.MarshalFlasherArgs()
		if err != nil {
			t.Fatalf("accepted but cannot be written: %v", err)
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("own output refused: %v\n%s", err, out)
		}
		if !reflect.DeepEqual(m, again) {
			t.Fatalf("round trip changed\n%+v\n%+v", m, again)
		}
	})
}
