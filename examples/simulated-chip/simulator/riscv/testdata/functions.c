/* Plain C that a compiler turns into every addressing mode and branch it likes.
 * The Go test calls each function and compares with the same sum done in Go. */
#include <stdint.h>

uint32_t crc32_of(const uint8_t *p, uint32_t n)
{
    uint32_t crc = 0xFFFFFFFF;
    while (n--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

uint32_t fibonacci(uint32_t n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

/* Widths and signs: sums what each load makes of the same bytes. */
uint32_t widths(volatile uint8_t *p)
{
    volatile int8_t *b = (volatile int8_t *)p;
    volatile uint16_t *h = (volatile uint16_t *)p;
    volatile int16_t *s = (volatile int16_t *)p;
    volatile uint32_t *w = (volatile uint32_t *)p;
    uint32_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum = sum * 31 + p[i], sum = sum * 31 + (uint32_t)b[i];
    for (int i = 0; i < 4; i++)
        sum = sum * 31 + h[i], sum = sum * 31 + (uint32_t)s[i];
    for (int i = 0; i < 2; i++)
        sum = sum * 31 + w[i];
    b[1] = -2;
    h[2] = 0xBEEF;
    w[0] ^= 0x00FF0000;
    return sum * 31 + w[0] + w[1];
}

static int compare(int32_t a, int32_t b) { return a < b ? -1 : a > b; }

/* Shell sort, in place, through a function pointer. */
void sort(int32_t *a, int32_t n)
{
    int (*volatile cmp)(int32_t, int32_t) = compare;
    for (int gap = n / 2; gap > 0; gap /= 2)
        for (int i = gap; i < n; i++)
            for (int j = i - gap; j >= 0 && cmp(a[j], a[j + gap]) > 0; j -= gap) {
                int32_t t = a[j];
                a[j] = a[j + gap];
                a[j + gap] = t;
            }
}

/* 64-bit arithmetic, a dense switch and division. */
uint32_t mix(uint32_t a, uint32_t b)
{
    uint64_t x = (uint64_t)a * b + a;
    for (uint32_t i = 0; i < 12; i++) {
        switch (i) {
        case 0: x += b; break;
        case 1: x ^= x >> 7; break;
        case 2: x *= 3; break;
        case 3: x -= a; break;
        case 4: x = x << 9 | x >> 55; break;
        case 5: x += (uint32_t)x / (b | 1); break;
        case 6: x += (uint32_t)x % (a | 1); break;
        case 7: x += (uint64_t)((int64_t)x >> 5); break;
        case 8: x -= (uint64_t)(int64_t)((int32_t)x / (int32_t)(b | 1)); break;
        case 9: x = ~x; break;
        default: x += i; break;
        }
    }
    return (uint32_t)(x ^ x >> 32);
}
