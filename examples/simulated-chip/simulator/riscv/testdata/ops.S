# One function an instruction: operands in a0 and a1, result in a0. The Go test
# calls each with the corner cases and compares with Go's own arithmetic.
	.text

	.global op_add
op_add:
	add a0, a0, a1
	ret

	.global op_sub
op_sub:
	sub a0, a0, a1
	ret

	.global op_sll
op_sll:
	sll a0, a0, a1
	ret

	.global op_slt
op_slt:
	slt a0, a0, a1
	ret

	.global op_sltu
op_sltu:
	sltu a0, a0, a1
	ret

	.global op_xor
op_xor:
	xor a0, a0, a1
	ret

	.global op_srl
op_srl:
	srl a0, a0, a1
	ret

	.global op_sra
op_sra:
	sra a0, a0, a1
	ret

	.global op_or
op_or:
	or a0, a0, a1
	ret

	.global op_and
op_and:
	and a0, a0, a1
	ret

	.global op_mul
op_mul:
	mul a0, a0, a1
	ret

	.global op_mulh
op_mulh:
	mulh a0, a0, a1
	ret

	.global op_mulhsu
op_mulhsu:
	mulhsu a0, a0, a1
	ret

	.global op_mulhu
op_mulhu:
	mulhu a0, a0, a1
	ret

	.global op_div
op_div:
	div a0, a0, a1
	ret

	.global op_divu
op_divu:
	divu a0, a0, a1
	ret

	.global op_rem
op_rem:
	rem a0, a0, a1
	ret

	.global op_remu
op_remu:
	remu a0, a0, a1
	ret

	.global op_beq
op_beq:
	beq a0, a1, 1f
	li a0, 0
	ret
1:	li a0, 1
	ret

	.global op_bne
op_bne:
	bne a0, a1, 1f
	li a0, 0
	ret
1:	li a0, 1
	ret

	.global op_blt
op_blt:
	blt a0, a1, 1f
	li a0, 0
	ret
1:	li a0, 1
	ret

	.global op_bge
op_bge:
	bge a0, a1, 1f
	li a0, 0
	ret
1:	li a0, 1
	ret

	.global op_bltu
op_bltu:
	bltu a0, a1, 1f
	li a0, 0
	ret
1:	li a0, 1
	ret

	.global op_bgeu
op_bgeu:
	bgeu a0, a1, 1f
	li a0, 0
	ret
1:	li a0, 1
	ret

# The same operations in their compressed forms, which want a0 to a5 and
# rd = rs1; the assembler chooses them where .option rvc allows.
	.global rvc_mix
rvc_mix:
	c.mv	a2, a0
	c.add	a2, a1
	c.sub	a2, a1
	c.xor	a2, a1
	c.or	a2, a0
	c.and	a2, a1
	c.addi	a2, -3
	c.slli	a2, 3
	c.srli	a2, 1
	c.srai	a2, 1
	c.andi	a2, -2
	c.li	a3, -17
	c.add	a2, a3
	c.lui	a4, 0xfffff
	c.add	a2, a4
	c.beqz	a0, 1f
	c.addi	a2, 1
1:	c.bnez	a1, 2f
	c.addi	a2, 2
2:	c.j	3f
	c.li	a2, 0
3:	c.mv	a0, a2
	c.jr	ra

# Stack-relative loads and stores, calls through compressed jumps.
	.global rvc_stack
rvc_stack:
	c.addi16sp sp, -64
	c.swsp	ra, 60(sp)
	c.swsp	a0, 12(sp)
	c.addi4spn a2, sp, 12
	c.lw	a3, 0(a2)
	c.sw	a1, 4(a2)
	c.lwsp	a4, 16(sp)
	c.jal	4f
	la	a5, 5f
	c.jalr	a5
	c.lwsp	ra, 60(sp)
	c.addi16sp sp, 64
	c.mv	a0, a3
	c.jr	ra
4:	c.add	a3, a4
	c.jr	ra
5:	c.add	a3, a3
	c.jr	ra

# Control registers: swap, set, clear, and the immediate forms.
	.global csr_scratch
csr_scratch:
	csrw	mscratch, a0
	csrrs	a2, mscratch, a1
	csrrc	a3, mscratch, a0
	csrrwi	a4, mscratch, 5
	csrrsi	zero, mscratch, 8
	csrrci	a5, mscratch, 1
	csrr	a1, mscratch
	xor	a0, a2, a3
	xor	a0, a0, a4
	xor	a0, a0, a5
	xor	a0, a0, a1
	ret

# A handler that counts traps and steps over the instruction, 4 bytes always.
	.balign 256
handler:
	csrr	t0, mepc
	addi	t0, t0, 4
	csrw	mepc, t0
	csrr	t1, mcause
	slli	a0, a0, 4
	or	a0, a0, t1
	mret

	.global traps
traps:
	la	t2, handler
	csrw	mtvec, t2
	li	a0, 0
	.option push
	.option norvc
	ecall
	ebreak
	.word	0xffffffff
	lw	a3, 0(zero)
	sw	a3, 0(zero)
	.option pop
	csrw	mtvec, zero
	ret

	.global illegal
illegal:
	.word 0xffffffff

	.global endless
endless:
	j endless

	.global cycles
cycles:
	csrr a0, 0x7e2
	nop
	csrr a1, 0x7e2
	sub a0, a1, a0
	ret
