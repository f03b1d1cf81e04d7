/*
 * Direct boot: the ROM finds the magic word twice at the start of the flash,
 * maps the flash at 0x42000000 and jumps to 0x42000008, the word behind it.
 */
        .section .header, "a"
        .word   0xaedb041d
        .word   0xaedb041d

        .section .text.start, "ax"
        .global _start
_start:
        csrci   mstatus, 8              /* no interrupts: we have no handlers */
        .option push
        .option norelax                 /* gp cannot be loaded relative to gp */
        la      gp, __global_pointer$
        .option pop
        la      sp, __stack_top

        /* Copy the initial values of .data from flash to RAM. */
        la      a0, __data_start
        la      a1, __data_end
        la      a2, __data_load
1:      bgeu    a0, a1, 2f
        lw      a3, 0(a2)
        sw      a3, 0(a0)
        addi    a0, a0, 4
        addi    a2, a2, 4
        j       1b

        /* Clear .bss. */
2:      la      a0, __bss_start
        la      a1, __bss_end
3:      bgeu    a0, a1, 4f
        sw      zero, 0(a0)
        addi    a0, a0, 4
        j       3b

4:      call    main
5:      j       5b                      /* main does not return */
