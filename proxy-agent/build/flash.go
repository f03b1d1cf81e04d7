package build

import (
	"io"
	"path"

	"github.com/farforge/farforge/common/flashmap"
)

// flashMap returns the map that the build wrote or that the recipe declares, with
// paths relative to the output directory. It is nil if there is nothing to flash.
func (a *Artifacts) flashMap(c *Choice) (*flashmap.Map, error) {
	f := &c.Recipe.Flash
	switch {
	case f.FlasherArgs != "":
		return a.readFlashMap(c)
	case f.declared():
		var failed error
		m := f.layout(c.Target, func(im Image) string {
			file, err := a.one(im.File)
			if err != nil && failed == nil {
				failed = err
			}
			return file
		})
		return m, failed
	}
	return nil, nil
}

func (a *Artifacts) readFlashMap(c *Choice) (*flashmap.Map, error) {
	file := c.Recipe.Flash.FlasherArgs
	f, err := a.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, flashmap.MaxFileSize+1))
	if err != nil {
		return nil, missing("%s cannot be read: %v", file, err)
	}
	m, err := flashmap.ParseIn(path.Dir(file), data)
	if err != nil {
		return nil, missing("%s is wrong: %v", file, err)
	}
	if m.Chip == "" { // as in files of older ESP-IDF versions
		m.Chip = c.Target
	}
	return m, nil
}
