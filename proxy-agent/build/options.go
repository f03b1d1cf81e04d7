package build

import (
	"cmp"

	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// Options say which recipes an agent has and what it keeps of their builds.
type Options struct {
	Dir    string // recipes beside the built-in ones; may be empty
	Caches CacheLimits
	Disk   Disk
}

// Disk limits the disk that jobs may use.
type Disk struct {
	Bytes   int64 // of one job
	Files   int   // of one job
	Reserve int64 // bytes that stay free on the file system
}

// RegisterRecipes defines the flags about recipes, with their defaults.
func (o *Options) RegisterRecipes(f *pflag.FlagSet) {
	f.StringVar(&o.Dir, "recipes", "", "add the recipes in `DIR`, *.toml")
}

// RegisterCaches defines the flags about caches, with their defaults.
func (o *Options) RegisterCaches(f *pflag.FlagSet) {
	f.IntVar(&o.Caches.Number, "keep-caches", 16, "keep the caches of `N` projects for their next builds; 0 keeps none")
	o.Caches.Bytes = 2048 * cli.MiB
	f.Var((*cli.Bytes)(&o.Caches.Bytes), "cache-size", "keep at most this `SIZE` of caches")
}

// RegisterDisk defines the flags about disk, with their defaults.
func (o *Options) RegisterDisk(f *pflag.FlagSet) {
	o.Disk.Bytes = 8 << 30
	f.Var((*cli.Bytes)(&o.Disk.Bytes), "job-disk", "let a job use this `SIZE` of disk")
	f.IntVar(&o.Disk.Files, "job-files", 400_000, "let a job have `N` files")
	o.Disk.Reserve = 1 << 30
	f.Var((*cli.Bytes)(&o.Disk.Reserve), "disk-reserve", "take no jobs while less than this `SIZE` of disk is free")
}

// Validate reports the first wrong option.
func (o *Options) Validate() error {
	return cmp.Or(
		cli.Require(o.Caches.Number >= 0 && o.Caches.Number <= 4096, "--keep-caches", "between 0 and 4096; 0 keeps none"),
		cli.Require(o.Disk.Files >= 1, "--job-files", "at least 1"),
		cli.Require(o.Caches.Bytes <= 16<<40, "--cache-size", "at most 16T; --keep-caches 0 keeps none"),
	)
}
