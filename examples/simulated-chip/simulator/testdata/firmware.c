/* Small direct-boot programs for an ESP32-C3, one a -DTEST_… */
#include <stdint.h>

#define REG(a) (*(volatile uint32_t *)(a))
#define TIMG0 0x6001F000
#define RTC 0x60008000

__asm__(".section .header,\"ax\"\n"
#ifndef RAM_IMAGE
        ".word 0xaedb041d, 0xaedb041d\n"
#endif
        ".globl _start\n_start:\n"
        "li sp, 0x3FCA0000\n"
        "call main\n"
        "1: j 1b\n");

static void timer_dog_off(void)
{
    REG(TIMG0 + 0x64) = 0x50D83AA1;
    REG(TIMG0 + 0x48) = 0;
    REG(TIMG0 + 0x64) = 0;
}

static void rtc_dog_off(void)
{
    REG(RTC + 0xA8) = 0x50D83AA1;
    REG(RTC + 0x90) = 0;
    REG(RTC + 0xA8) = 0;
}

static void super_dog_off(void)
{
    REG(RTC + 0xB0) = 0x8F1D312A;
    REG(RTC + 0xAC) |= 1u << 31;
    REG(RTC + 0xB0) = 0;
}

static void put(const char *s)
{
    for (; *s; s++) {
        while ((REG(0x6000001C) >> 16 & 0x3FF) > 120)
            ;
        REG(0x60000000) = *s;
    }
}

static uint64_t now(void) /* 16 MHz */
{
    REG(0x60023004) = 1u << 30;
    while (!(REG(0x60023004) & 1u << 29))
        ;
    return (uint64_t)REG(0x60023040) << 32 | REG(0x60023044);
}

int main(void)
{
#if !defined(TEST_TIMER_DOG) && !defined(TEST_FED)
    timer_dog_off();
#endif
#if !defined(TEST_RTC_DOG) && !defined(TEST_FED)
    rtc_dog_off();
#endif
#if !defined(TEST_SUPER_DOG)
    super_dog_off();
#endif
    put("started\r\n");
#if defined(TEST_TICKS)
    for (int i = 1; i < 9; i++) {
        uint64_t start = now();
        while (now() - start < 16000000)
            ;
        char digit[2] = {(char)('0' + i), 0};
        put("tick ");
        put(digit);
        put("\r\n");
    }
#elif defined(TEST_FED)
    for (int i = 0; i < 40; i++) {
        uint64_t start = now();
        while (now() - start < 1600000)
            __asm__ volatile("wfi");
        REG(TIMG0 + 0x64) = 0x50D83AA1;
        REG(TIMG0 + 0x60) = 1;
        REG(RTC + 0xA8) = 0x50D83AA1;
        REG(RTC + 0xA4) = 1u << 31;
    }
    put("fed for four seconds\r\n");
#elif defined(TEST_LOCKED)
    REG(TIMG0 + 0x48) = 1u << 31; /* protected: must not switch it on */
    uint64_t start = now();
    while (now() - start < 32000000)
        __asm__ volatile("wfi");
    put("still here\r\n");
#elif defined(TEST_ILLEGAL)
    __asm__ volatile(".word 0xffffffff");
#elif defined(TEST_NULL)
    REG(0);
#elif defined(TEST_STORE)
    REG(0x42000000) = 1;
#elif defined(TEST_ROM)
    ((void (*)(void))0x40000050)();
#elif defined(TEST_RESTART)
    REG(RTC) = 1u << 31;
#elif defined(TEST_OVERFLOW)
    for (int i = 0; i < 1000; i++)
        REG(0x60000000) = '.';
    uint64_t start = now();
    while (now() - start < 16000000)
        ;
    put("over\r\n");
#elif defined(TEST_ECHO)
    for (;;) {
        while (!(REG(0x6000001C) & 0x3FF))
            ;
        char s[2] = {(char)(REG(0x60000000) ^ 0x20), 0};
        put(s);
    }
#elif defined(TEST_SLEEP)
    __asm__ volatile("wfi; wfi; wfi");
    put("awake\r\n");
#elif defined(TEST_WIDTHS)
    volatile uint8_t *fifo = (volatile uint8_t *)0x60000000;
    *fifo = 'w';
    REG(0x60000300) = 0x11223344;
    put(((volatile uint8_t *)0x60000300)[2] == 0x22 ? "bytes\r\n" : "wrong\r\n");
#endif
    for (;;)
        __asm__ volatile("wfi");
}
