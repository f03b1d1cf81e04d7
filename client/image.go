package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/command"
	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/common/wholefile"
)

// maxImage bounds an image file that is read.
const maxImage = 32 << 20

// namedFiles are files by the short names that a flash map uses for them.
type namedFiles map[string]string

// add returns the name of a file: its last element, or one that no other file has.
func (n namedFiles) add(file string) string {
	base := filepath.Base(file)
	if !fs.ValidPath(base) || base == "." {
		base = "image"
	}
	name := base
	for i := 2; n[name] != ""; i++ {
		name = fmt.Sprintf("%d/%s", i, base)
	}
	n[name] = file
	return name
}

// Open opens a file by its short name.
func (n namedFiles) Open(name string) (fs.File, error) {
	file, ok := n[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return os.Open(file)
}

func (a *app) imageCommand() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "image",
		Short: "Describe or merge firmware images",
		Long:  "Describe or merge firmware images. No board is needed.",
	}, a.imageInfoCommand(), a.imageMergeCommand())
}

func (a *app) imageInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "info FILE",
		Short: "Describe a firmware image",
		Long: `Check the image of a bootloader or an app as a chip does before it starts it, and
print its header, its segments and its description.`,
		Aliases: []string{"image-info"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef("%s takes one file", cmd.CommandPath()).Hint("see " + cmd.CommandPath() + " --help")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := readImage(args[0])
			if err != nil {
				return err
			}
			info, err := flash.DescribeImage(b)
			if err != nil {
				return boardError(err)
			}
			image := console.NewImage(info)
			for _, line := range image.Lines() {
				a.ui.Result("%s", line)
			}
			a.ui.Done(console.Report{ImageInfo: image})
			return nil
		},
	}
}

// readImage reads a file of bounded size.
func readImage(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, cli.Failf(cli.Usage, "read the image: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxImage+1))
	if err == nil && len(b) > maxImage {
		err = fmt.Errorf("%s has more than %d MiB, more than any image", name, maxImage>>20)
	}
	if err != nil {
		return nil, cli.Failf(cli.Usage, "read the image: %w", err)
	}
	return b, nil
}

// mergeConfig is the command line of client image merge.
type mergeConfig struct{ Output, Start string }

func (c *mergeConfig) register(f *pflag.FlagSet) {
	f.StringVarP(&c.Output, "output", "o", "merged.bin", "write the merged image to `FILE`")
	f.StringVar(&c.Start, "start", "0", "write an image for this `OFFSET`")
}

func (a *app) imageMergeCommand() *cobra.Command {
	var c mergeConfig
	cmd := &cobra.Command{
		Use:   "merge FILE@OFFSET ...",
		Short: "Merge images into one file",
		Long: `Merge images into one that can be written to the offset of --start. The gaps
between them are filled with FF, as in erased flash.`,
		Aliases: []string{"merge-bin", "save-image"},
		Args:    imageArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			start, err := parseOffset(c.Start)
			if err != nil {
				return err
			}
			firmware, err := imageFiles(args)
			if err != nil {
				return err
			}
			merged, err := flash.Merge(firmware.Map, firmware.Files, start)
			if err != nil {
				return boardError(err)
			}
			if err := wholefile.Write(c.Output, merged, 0o644); err != nil {
				return cli.Failf(cli.Usage, "write the merged image: %w", err)
			}
			a.ui.Result("%s", c.Output)
			a.ui.Done(console.Report{})
			return nil
		},
	}
	cli.Section(cmd.Flags(), "Output", c.register)
	return cmd
}
