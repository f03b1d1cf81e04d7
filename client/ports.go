package main

import (
	"github.com/spf13/cobra"

	"github.com/farforge/farforge/client/console"
	"github.com/farforge/farforge/common/flash/serialport"
)

func (a *app) portsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ports",
		Short: "List the serial ports",
		Long: `List the serial ports of this machine, those on USB first, where nearly all boards
are. No port is opened, because that would reset many boards.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ports, err := serialport.List()
			if err != nil {
				return boardError(err)
			}
			listed := []console.Port{}
			for _, p := range ports {
				port := console.Port{Name: p.Name, USB: p.USB, Product: p.Product, Serial: p.Serial}
				if p.USB {
					port.VID, port.PID = p.VID, p.PID
				}
				listed = append(listed, port)
				a.ui.Result("%s", console.Clean(describePort(p), false))
			}
			if len(ports) == 0 {
				a.ui.Say("there is no serial port; plug a board in with a cable that carries data")
			}
			a.ui.Done(console.Report{Ports: &listed})
			return nil
		},
	}
}
