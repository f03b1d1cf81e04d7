package riscv_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/farforge/farforge/examples/simulated-chip/simulator/riscv"
)

// FuzzStep runs arbitrary bytes as a program: whatever they are, each step either
// executes or ends in a trap, x0 stays zero and the counter moves.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0x13, 0, 0, 0, 0x73, 0, 0, 0})                         // nop, ecall
	f.Add([]byte{0x01, 0x45, 0x82, 0x80})                               // c.li, ret
	f.Add(binary.LittleEndian.AppendUint32(nil, 0xFFFFFFFF))            // illegal
	f.Add([]byte{0x73, 0x50, 0x50, 0x30, 0x00, 0x00, 0x6F, 0, 0, 0x80}) // csrwi mtvec, jump
	f.Fuzz(func(t *testing.T, program []byte) {
		m := &ram{make([]byte, memSize)}
		copy(m.cells[codeStart:], program[:min(len(program), memSize-codeStart)])
		cpu := riscv.New(m, codeStart)
		cpu.X[2] = stackTop
		for range 1000 {
			before := cpu.Cycles
			if err := cpu.Step(); err != nil {
				var trap *riscv.Trap
				if !errors.As(err, &trap) {
					t.Fatalf("%v is not a trap", err)
				}
				return
			}
			if cpu.X[0] != 0 {
				t.Fatal("x0 is not zero")
			}
			if cpu.Cycles == before {
				t.Fatal("an instruction took no time")
			}
		}
	})
}
