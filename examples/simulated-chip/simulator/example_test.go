package simulator_test

import (
	"bytes"
	"fmt"

	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// A chip in the same process, reset into download mode as a flashing tool does.
func ExampleChip_Port() {
	chip, err := simulator.New(simulator.Config{Chip: "esp32c3"})
	if err != nil {
		panic(err)
	}
	port := chip.Port()
	defer port.Close()

	port.SetDTR(false)
	port.SetRTS(true) // held in reset
	port.ResetInputBuffer()
	port.SetDTR(true)
	port.SetRTS(false) // runs, with the strap asking for the loader
	port.SetDTR(false)

	var text []byte
	buf := make([]byte, 256)
	for !bytes.Contains(text, []byte("waiting for download")) {
		n, err := port.Read(buf)
		if err != nil {
			panic(err)
		}
		text = append(text, buf[:n]...)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\r\n"))
	fmt.Printf("%s\n%s\n", lines[len(lines)-2], lines[len(lines)-1])
	// Output:
	// rst:0x1 (POWERON),boot:0x4 (DOWNLOAD(USB/UART0/1))
	// waiting for download
}

// A chip that goes silent when the third block of an image arrives.
func ExampleParseMisbehavior() {
	m, err := simulator.ParseMisbehavior("silent@FLASH_DATA#3")
	fmt.Println(m.Kind, m.Command, m.Nth, err)
	// Output: silent FLASH_DATA 3 <nil>
}
