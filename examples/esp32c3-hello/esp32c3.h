/*
 * The few ESP32-C3 registers this program touches.
 * Names and offsets are those of the ESP32-C3 Technical Reference Manual.
 */
#ifndef ESP32C3_H
#define ESP32C3_H

#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))

/* UART0. The ROM has set it up for 115200 baud, 8N1, before it starts us. */
#define UART0_FIFO REG(0x60000000)
#define UART0_STATUS REG(0x6000001C)
#define UART_TXFIFO_COUNT(status) (((status) >> 16) & 0x3FF)
#define UART_TXFIFO_SIZE 128

/* Timer groups: each has one watchdog. */
#define TIMG0 0x6001F000
#define TIMG1 0x60020000
#define TIMG_WDTCONFIG0(group) REG((group) + 0x48)
#define TIMG_WDTWPROTECT(group) REG((group) + 0x64)

/* Real-time controller: its watchdog and the "super watchdog". */
#define RTC_WDTCONFIG0 REG(0x60008090)
#define RTC_WDTWPROTECT REG(0x600080A8)
#define RTC_SWD_CONF REG(0x600080AC)
#define RTC_SWD_WPROTECT REG(0x600080B0)
#define RTC_SWD_AUTO_FEED (1u << 31)

#define WDT_KEY 0x50D83AA1u /* opens the write-protected registers */
#define SWD_KEY 0x8F1D312Au

/* System timer, unit 0: counts at 16 MHz whatever the CPU clock is. */
#define SYSTIMER_UNIT0_OP REG(0x60023004)
#define SYSTIMER_UNIT0_LO REG(0x60023044)
#define SYSTIMER_UPDATE (1u << 30)
#define SYSTIMER_VALID (1u << 29)
#define SYSTIMER_HZ 16000000u

#endif
