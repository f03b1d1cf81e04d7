/*
 * Hello from a bare ESP32-C3: no SDK, no second-stage bootloader, no libc.
 * Prints a greeting on UART0, what this image is, then one line a second.
 */
#include "esp32c3.h"

extern const char __image_size[]; /* its address is the size: see link.ld */

static void watchdogs_off(void)
{
    static const uint32_t groups[] = {TIMG0, TIMG1};
    for (unsigned i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        TIMG_WDTWPROTECT(groups[i]) = WDT_KEY;
        TIMG_WDTCONFIG0(groups[i]) = 0;
        TIMG_WDTWPROTECT(groups[i]) = 0;
    }
    RTC_WDTWPROTECT = WDT_KEY;
    RTC_WDTCONFIG0 = 0;
    RTC_WDTWPROTECT = 0;
    /* The super watchdog cannot be stopped, but it can feed itself. */
    RTC_SWD_WPROTECT = SWD_KEY;
    RTC_SWD_CONF |= RTC_SWD_AUTO_FEED;
    RTC_SWD_WPROTECT = 0;
}

static void put_char(char c)
{
    while (UART_TXFIFO_COUNT(UART0_STATUS) >= UART_TXFIFO_SIZE - 2)
        ;
    UART0_FIFO = (uint8_t)c;
}

static void put_string(const char *s)
{
    for (; *s; s++) {
        if (*s == '\n')
            put_char('\r');
        put_char(*s);
    }
}

static void put_number(uint32_t n)
{
    char digits[11];
    char *p = digits + sizeof digits - 1;
    *p = '\0';
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    put_string(p);
}

/* Low word of the 16 MHz system timer: wraps every 268 s, differences stay right. */
static uint32_t ticks(void)
{
    SYSTIMER_UNIT0_OP = SYSTIMER_UPDATE;
    for (int i = 0; i < 10 && !(SYSTIMER_UNIT0_OP & SYSTIMER_VALID); i++)
        ;
    return SYSTIMER_UNIT0_LO;
}

/*
 * Waits for a second of the system timer, but never for more than a fixed
 * number of looks at it: a line comes out even where the timer stands still.
 */
static void wait_a_second(void)
{
    uint32_t start = ticks();
    for (uint32_t looks = 0; looks < 2000000; looks++)
        if (ticks() - start >= SYSTIMER_HZ)
            return;
}

int main(void)
{
    watchdogs_off();

    put_string("\nHello from esp32c3-hello, built far away and flashed right here.\n");
    put_string("compiler: gcc " __VERSION__ "\n");
    put_string("image: ");
    put_number((uint32_t)__image_size);
    put_string(" bytes, direct boot from flash offset 0x0\n");

    for (uint32_t seconds = 1;; seconds++) {
        wait_a_second();
        put_string("tick ");
        put_number(seconds);
        put_string("\n");
    }
}
