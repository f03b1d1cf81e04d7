package riscv_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/farforge/farforge/examples/simulated-chip/simulator/riscv"
)

const (
	compiler  = "riscv64-unknown-elf-gcc"
	codeStart = 0x10000
	memSize   = 0x40000
	stackTop  = memSize - 16
	scratch   = 0x30000 // where tests put data
	sentinel  = 0x2     // a return address with nothing behind it
)

// ram is a bus with one memory at address 0, of which the first page is absent.
type ram struct{ cells []byte }

const firstPage = 0x1000

func (r *ram) at(addr uint32, n int) []byte {
	if addr < firstPage || uint64(addr)+uint64(n) > uint64(len(r.cells)) {
		return nil
	}
	return r.cells[addr : addr+uint32(n)]
}

func (r *ram) Fetch(addr uint32) (uint32, bool) {
	p := r.at(addr, 4)
	if p == nil {
		return 0, false
	}
	return binary.LittleEndian.Uint32(p), true
}

func (r *ram) Load(addr uint32, width int) (uint32, bool) {
	p := r.at(addr, width)
	var v uint32
	for i, b := range p {
		v |= uint32(b) << (8 * i)
	}
	return v, p != nil
}

func (r *ram) Store(addr uint32, width int, v uint32) bool {
	p := r.at(addr, width)
	for i := range p {
		p[i] = byte(v >> (8 * i))
	}
	return p != nil
}

// binaryUnderTest is a compiled program and its symbols.
type binaryUnderTest struct {
	t       *testing.T
	ram     *ram
	symbols map[string]uint32
}

// build compiles a source of testdata. Without the compiler the test is skipped:
// there is nothing to compare the interpreter with.
func build(t *testing.T, source string, flags ...string) *binaryUnderTest {
	t.Helper()
	gcc, err := exec.LookPath(compiler)
	if err != nil {
		t.Skipf("%s is not installed (Debian: gcc-riscv64-unknown-elf), so there is no code to run", compiler)
	}
	out := filepath.Join(t.TempDir(), "program.elf")
	args := append([]string{"-march=rv32imc_zicsr", "-mabi=ilp32", "-nostdlib", "-ffreestanding", "-fno-builtin",
		"-Wl,-Ttext=0x10000", "-Wl,--no-relax", "-Wl,-e,0x10000", "-o", out}, flags...)
	if msg, err := exec.CommandContext(t.Context(), gcc, append(args, filepath.Join("testdata", source))...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", source, err, msg)
	}
	f, err := elf.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := &binaryUnderTest{t: t, ram: &ram{make([]byte, memSize)}, symbols: make(map[string]uint32)}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD {
			continue
		}
		if _, err := p.ReadAt(b.ram.cells[p.Vaddr:p.Vaddr+p.Filesz], 0); err != nil {
			t.Fatal(err)
		}
	}
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		b.symbols[s.Name] = uint32(s.Value)
	}
	return b
}

// run calls a function until it returns or traps.
func (b *binaryUnderTest) run(name string, args ...uint32) (*riscv.CPU, error) {
	b.t.Helper()
	pc, known := b.symbols[name]
	if !known {
		b.t.Fatalf("the program has no function %q", name)
	}
	cpu := riscv.New(b.ram, pc)
	cpu.X[1], cpu.X[2] = sentinel, stackTop
	copy(cpu.X[10:], args)
	for range 20_000_000 {
		if cpu.PC == sentinel {
			return cpu, nil
		}
		if err := cpu.Step(); err != nil {
			return cpu, err
		}
	}
	b.t.Fatalf("%s does not return", name)
	return nil, nil
}

// call is run for functions that must return; it gives a0.
func (b *binaryUnderTest) call(name string, args ...uint32) uint32 {
	b.t.Helper()
	cpu, err := b.run(name, args...)
	if err != nil {
		b.t.Fatalf("%s%x: %v", name, args, err)
	}
	if cpu.X[0] != 0 || cpu.X[2] != stackTop {
		b.t.Fatalf("%s%x left x0=%x sp=%x", name, args, cpu.X[0], cpu.X[2])
	}
	return cpu.X[10]
}

// corners are the operands where integer units go wrong.
var corners = []uint32{0, 1, 2, 3, 5, 31, 32, 33, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xFFFFFFFE, 0x12345678, 0xDEADBEEF}

func truth(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// operations gives the meaning of each instruction in Go; division follows the M
// extension's table for zero and overflow.
var operations = map[string]func(a, b uint32) uint32{
	"add":    func(a, b uint32) uint32 { return a + b },
	"sub":    func(a, b uint32) uint32 { return a - b },
	"sll":    func(a, b uint32) uint32 { return a << (b % 32) },
	"srl":    func(a, b uint32) uint32 { return a >> (b % 32) },
	"sra":    func(a, b uint32) uint32 { return uint32(int32(a) >> (b % 32)) },
	"slt":    func(a, b uint32) uint32 { return truth(int32(a) < int32(b)) },
	"sltu":   func(a, b uint32) uint32 { return truth(a < b) },
	"xor":    func(a, b uint32) uint32 { return a ^ b },
	"or":     func(a, b uint32) uint32 { return a | b },
	"and":    func(a, b uint32) uint32 { return a & b },
	"mul":    func(a, b uint32) uint32 { return a * b },
	"mulh":   func(a, b uint32) uint32 { return uint32(uint64(int64(int32(a))*int64(int32(b))) >> 32) },
	"mulhsu": func(a, b uint32) uint32 { return uint32(uint64(int64(int32(a))*int64(b)) >> 32) },
	"mulhu":  func(a, b uint32) uint32 { return uint32(uint64(a) * uint64(b) >> 32) },
	"div": func(a, b uint32) uint32 {
		if b == 0 {
			return 0xFFFFFFFF
		}
		return uint32(int64(int32(a)) / int64(int32(b)))
	},
	"divu": func(a, b uint32) uint32 {
		if b == 0 {
			return 0xFFFFFFFF
		}
		return a / b
	},
	"rem": func(a, b uint32) uint32 {
		if b == 0 {
			return a
		}
		return uint32(int64(int32(a)) % int64(int32(b)))
	},
	"remu": func(a, b uint32) uint32 {
		if b == 0 {
			return a
		}
		return a % b
	},
	"beq":  func(a, b uint32) uint32 { return truth(a == b) },
	"bne":  func(a, b uint32) uint32 { return truth(a != b) },
	"blt":  func(a, b uint32) uint32 { return truth(int32(a) < int32(b)) },
	"bge":  func(a, b uint32) uint32 { return truth(int32(a) >= int32(b)) },
	"bltu": func(a, b uint32) uint32 { return truth(a < b) },
	"bgeu": func(a, b uint32) uint32 { return truth(a >= b) },
}

func TestIntegerOperationsOnCornerCases(t *testing.T) {
	b := build(t, "ops.S")
	for name, want := range operations {
		for _, x := range corners {
			for _, y := range corners {
				if got := b.call("op_"+name, x, y); got != want(x, y) {
					t.Errorf("%s %#x, %#x = %#x, want %#x", name, x, y, got, want(x, y))
				}
			}
		}
	}
}

func TestCompressedInstructions(t *testing.T) {
	b := build(t, "ops.S")
	mix := func(x, y uint32) uint32 {
		v := (x + y - y) ^ y
		v = (v | x) & y
		v = (v - 3) << 3 >> 1
		v = uint32(int32(v)>>1) & ^uint32(1)
		v = v - 17 + 0xFFFFF000
		if x != 0 {
			v++
		}
		if y == 0 {
			v += 2
		}
		return v
	}
	for _, x := range corners {
		for _, y := range corners {
			if got := b.call("rvc_mix", x, y); got != mix(x, y) {
				t.Errorf("rvc_mix %#x, %#x = %#x, want %#x", x, y, got, mix(x, y))
			}
			if got, want := b.call("rvc_stack", x, y), 2*(x+y); got != want {
				t.Errorf("rvc_stack %#x, %#x = %#x, want %#x", x, y, got, want)
			}
		}
	}
}

func TestControlRegisters(t *testing.T) {
	b := build(t, "ops.S")
	for _, x := range corners {
		for _, y := range corners {
			a2, a3, a4 := x, x|y, (x|y)&^x
			a5, last := uint32(5|8), uint32((5|8)&^1)
			if got, want := b.call("csr_scratch", x, y), a2^a3^a4^a5^last; got != want {
				t.Errorf("csr_scratch %#x, %#x = %#x, want %#x", x, y, got, want)
			}
		}
	}
	if got := b.call("cycles"); got != 2 {
		t.Errorf("the cycle counter advanced by %d over two instructions, want 2", got)
	}
}

func TestTrapsReachTheProgramsHandler(t *testing.T) {
	b := build(t, "ops.S")
	// ecall, ebreak, illegal, load fault, store fault, in this order.
	if got := b.call("traps"); got != 0xB3257 {
		t.Errorf("causes seen: %#x, want 0xb3257", got)
	}
}

func TestTrapWithoutHandlerIsReturned(t *testing.T) {
	b := build(t, "ops.S")
	cpu, err := b.run("illegal")
	var trap *riscv.Trap
	if !errors.As(err, &trap) {
		t.Fatalf("error %v, want a trap", err)
	}
	want := riscv.Trap{Cause: riscv.IllegalInstruction, PC: b.symbols["illegal"], Value: 0xFFFFFFFF}
	if *trap != want || cpu.PC != want.PC {
		t.Errorf("trap %+v with pc %#x, want %+v", *trap, cpu.PC, want)
	}
}

func TestCompiledFunctions(t *testing.T) {
	for _, level := range []string{"-O0", "-Os", "-O2", "-O3"} {
		t.Run(level, func(t *testing.T) {
			b := build(t, "functions.c", level, "-fno-tree-loop-distribute-patterns")
			data := make([]byte, 1000)
			for i := range data {
				data[i] = byte(i*i*7 + i)
			}
			copy(b.ram.cells[scratch:], data)
			if got, want := b.call("crc32_of", scratch, uint32(len(data))), crc32.ChecksumIEEE(data); got != want {
				t.Errorf("crc32 = %#x, want %#x", got, want)
			}
			if got := b.call("fibonacci", 15); got != 610 {
				t.Errorf("fibonacci(15) = %d, want 610", got)
			}
			for _, x := range corners {
				for _, y := range corners {
					if got := b.call("mix", x, y); got != mixInGo(x, y) {
						t.Errorf("mix(%#x, %#x) = %#x, want %#x", x, y, got, mixInGo(x, y))
					}
				}
			}
			checkWidths(t, b)
			checkSort(t, b)
		})
	}
}

// mixInGo is mix of functions.c.
func mixInGo(a, b uint32) uint32 {
	x := uint64(a)*uint64(b) + uint64(a)
	x += uint64(b)
	x ^= x >> 7
	x *= 3
	x -= uint64(a)
	x = x<<9 | x>>55
	x += uint64(uint32(x) / (b | 1))
	x += uint64(uint32(x) % (a | 1))
	x += uint64(int64(x) >> 5)
	x -= uint64(int64(int32(int64(int32(uint32(x))) / int64(int32(b|1)))))
	x = ^x
	x += 10
	x += 11
	return uint32(x ^ x>>32)
}

func checkWidths(t *testing.T, b *binaryUnderTest) {
	t.Helper()
	p := []byte{0x80, 0x7F, 0xFF, 0x01, 0xFE, 0x80, 0x00, 0x9A}
	copy(b.ram.cells[scratch:], p)
	var sum uint32
	for _, v := range p {
		sum = sum*31 + uint32(v)
		sum = sum*31 + uint32(int8(v))
	}
	for i := 0; i < 8; i += 2 {
		h := binary.LittleEndian.Uint16(p[i:])
		sum = sum*31 + uint32(h)
		sum = sum*31 + uint32(int16(h))
	}
	sum = sum*31 + binary.LittleEndian.Uint32(p)
	sum = sum*31 + binary.LittleEndian.Uint32(p[4:])
	p[1] = 0xFE
	binary.LittleEndian.PutUint16(p[4:], 0xBEEF)
	p[2] ^= 0xFF
	sum = sum*31 + binary.LittleEndian.Uint32(p) + binary.LittleEndian.Uint32(p[4:])
	if got := b.call("widths", scratch); got != sum {
		t.Errorf("widths = %#x, want %#x", got, sum)
	}
	if !bytes.Equal(b.ram.cells[scratch:scratch+8], p) {
		t.Errorf("after the stores % x, want % x", b.ram.cells[scratch:scratch+8], p)
	}
}

func checkSort(t *testing.T, b *binaryUnderTest) {
	t.Helper()
	values := make([]int32, 100)
	for i := range values {
		values[i] = int32(uint32(i) * 2654435761)
		binary.LittleEndian.PutUint32(b.ram.cells[scratch+4*i:], uint32(values[i]))
	}
	b.call("sort", scratch, uint32(len(values)))
	slices.Sort(values)
	for i, v := range values {
		if got := int32(binary.LittleEndian.Uint32(b.ram.cells[scratch+4*i:])); got != v {
			t.Fatalf("sorted[%d] = %d, want %d", i, got, v)
		}
	}
}
