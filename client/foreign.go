package main

import (
	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/cli"
)

// foreignVerbs are verbs of esptool, espflash and idf.py, and the client's verbs that do
// the same.
var foreignVerbs = [][2]string{
	{"write-flash", "client chip write FILE@OFFSET"},
	{"write_flash", "client chip write FILE@OFFSET"},
	{"write-bin", "client chip write FILE@OFFSET"},
	{"read-flash", "client chip read OFFSET SIZE FILE"},
	{"read_flash", "client chip read OFFSET SIZE FILE"},
	{"erase-flash", "client chip erase all"},
	{"erase_flash", "client chip erase all"},
	{"erase-region", "client chip erase OFFSET SIZE"},
	{"erase_region", "client chip erase OFFSET SIZE"},
	{"verify-flash", "client chip verify FILE@OFFSET"},
	{"verify_flash", "client chip verify FILE@OFFSET"},
	{"chip-id", "client chip info"},
	{"chip_id", "client chip info"},
	{"flash-id", "client chip info"},
	{"flash_id", "client chip info"},
	{"read-mac", "client chip info"},
	{"read_mac", "client chip info"},
	{"board-info", "client chip info"},
	{"get-security-info", "client chip info"},
	{"image-info", "client image info FILE"},
	{"image_info", "client image info FILE"},
	{"merge-bin", "client image merge FILE@OFFSET ..."},
	{"merge_bin", "client image merge FILE@OFFSET ..."},
	{"save-image", "client image merge FILE@OFFSET ..."},
	{"list-ports", "client ports"},
	{"app-flash", "client flash"},
}

// foreignCommands refuse the verbs of other tools by name.
func foreignCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, v := range foreignVerbs {
		out = append(out, &cobra.Command{
			Use: v[0], Hidden: true, DisableFlagParsing: true, DisableSuggestions: true,
			RunE: func(*cobra.Command, []string) error {
				return cli.Usagef("client has no verb %q, which is a verb of another tool", v[0]).Hint("use " + v[1])
			},
		})
	}
	return out
}
