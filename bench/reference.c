/* The reference workload of exitless.sim.reference, written by hand in C: the yardstick of the speed measurements.

   The workload is specified in the docstring of src/exitless/sim/reference.py; this file follows it to the letter.
   Built with `cc -O2`. Usage: reference SEED HORIZON_PS RECORDING [rows]
   Prints one JSON object: CPU time of the run alone in ns, counters, hash, events, rows.
   With `rows`, every row goes to standard error as `time kind a b`.
*/
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PACKET = 1, MESSAGE, NOTIFICATION, HANDLER_OVER, ENTRY, TIMER, TICK, LOWER };
enum {
    SOURCE_ASSERT = 1, PID_POST = 7, PID_PROCESS = 8, PIR_SYNC = 9, VM_EXIT = 16, VM_ENTRY = 17,
    IRQ_DELIVER = 20, IRQ_EOI = 21, STEP = 64
};
enum { EXTERNAL_INTERRUPT = 1, EOI_INDUCED = 45 };
enum { QUEUES = 4, TIMER_VECTOR = 0xEC, DEPTH = 16, CAPACITY = 64, BLOCK_ROWS = 65536 };

static const int64_t MESSAGE_PS = 300000, NOTIFICATION_PS = 180000, EXIT_PS = 1200000;
static const int64_t PERIOD_PS = 250000000, FIRST_TICK_PS = 125000000;

/* Random numbers. */

static uint32_t seeded(uint64_t seed, uint64_t stream)
{
    uint32_t state = (uint32_t)((seed & 0xFFFFFF) * 1000003 + (stream + 1) * 747796405);
    return state ? state : 1;
}

static uint32_t draw(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static int64_t interval(uint32_t *state)
{
    uint32_t x = draw(state);
    return (256 + (int64_t)(x & 32767) + (int64_t)(x >> 16 & 8191)) * 1000;
}

/* The calendar: a binary heap; equal times leave in the order of pushing. */

struct entry {
    int64_t time;
    uint64_t order;
    uint32_t what;
    uint32_t argument;
};

struct calendar {
    struct entry heap[CAPACITY];
    int count;
    uint64_t order;
};

static int before(const struct entry *a, const struct entry *b)
{
    return a->time < b->time || (a->time == b->time && a->order < b->order);
}

static void push(struct calendar *c, int64_t time, uint32_t what, uint32_t argument)
{
    struct entry e = {time, ++c->order, what, argument};
    int n = c->count++;
    if (n == CAPACITY)
        abort();
    while (n > 0) {
        int parent = (n - 1) >> 1;
        if (c->heap[parent].time <= time)
            break;
        c->heap[n] = c->heap[parent];
        n = parent;
    }
    c->heap[n] = e;
}

static struct entry pop(struct calendar *c)
{
    struct entry top = c->heap[0], last = c->heap[--c->count];
    int hole = 0, child = 1;
    while (child < c->count) {
        if (child + 1 < c->count && before(&c->heap[child + 1], &c->heap[child]))
            child++;
        if (!before(&c->heap[child], &last))
            break;
        c->heap[hole] = c->heap[child];
        hole = child;
        child = 2 * hole + 1;
    }
    c->heap[hole] = last;
    return top;
}

/* 256-bit registers. */

typedef uint32_t reg256[8];

static int test(const reg256 r, int v) { return r[v >> 5] >> (v & 31) & 1; }
static void set(reg256 r, int v) { r[v >> 5] |= 1u << (v & 31); }
static void clear(reg256 r, int v) { r[v >> 5] &= ~(1u << (v & 31)); }

static int highest(const reg256 r)
{
    for (int i = 7; i >= 0; i--)
        if (r[i])
            return 32 * i + 31 - __builtin_clz(r[i]);
    return 0;
}

/* The whole state. */

struct counters {
    int64_t packets, coalesced, notifications, processed, found_root, delivered, preempted, eois, eoi_exits,
        tick_exits, entries, synced, raised;
};

struct columns {
    int64_t time[BLOCK_ROWS];
    uint32_t state[BLOCK_ROWS];
    uint8_t kind[BLOCK_ROWS], a[BLOCK_ROWS];
    int fill, recording, shown;
    int64_t rows;
};

struct machine {
    struct calendar calendar;
    reg256 pir, virr, visr, eoi_exit;
    int on, rvi, svi, vtpr, vppr, recognized;
    int in_guest, depth, lower_due;
    uint32_t generation, hash;
    uint32_t queue[QUEUES], lengths, tasks;
    int64_t now, over_at, left[DEPTH], events;
    struct counters n;
    struct columns columns;
};

static void flush(struct columns *c)
{
    if (c->shown)
        for (int i = 0; i < c->fill; i++)
            fprintf(stderr, "%lld %d %d %u\n", (long long)c->time[i], c->kind[i], c->a[i], c->state[i]);
    c->rows += c->fill;
    c->fill = 0;
}

static void row(struct machine *m, int kind, int a)
{
    struct columns *c = &m->columns;
    if (!c->recording)
        return;
    int n = c->fill;
    c->time[n] = m->now;
    c->kind[n] = (uint8_t)kind;
    c->a[n] = (uint8_t)a;
    c->state[n] = (uint32_t)(m->rvi | m->svi << 8 | m->vppr << 16);
    if (++c->fill == BLOCK_ROWS)
        flush(c);
}

/* Rules. */

static void evaluate(struct machine *m) { m->recognized = m->rvi >> 4 > m->vppr >> 4; }

static void virtualize_ppr(struct machine *m) { m->vppr = m->vtpr >> 4 >= m->svi >> 4 ? m->vtpr : m->svi & 0xF0; }

static int take_pir(struct machine *m)
{
    int top = highest(m->pir);
    for (int i = 0; i < 8; i++) {
        m->virr[i] |= m->pir[i];
        m->pir[i] = 0;
    }
    if (top > m->rvi)
        m->rvi = top;
    return top;
}

static int deliver_rule(struct machine *m)
{
    int v = m->rvi;
    set(m->visr, v);
    m->svi = v;
    m->vppr = v & 0xF0;
    clear(m->virr, v);
    m->rvi = highest(m->virr);
    m->recognized = 0;
    return v;
}

static int eoi_rule(struct machine *m)
{
    int v = m->svi;
    clear(m->visr, v);
    m->svi = highest(m->visr);
    virtualize_ppr(m);
    if (test(m->eoi_exit, v))
        return 1;
    evaluate(m);
    return 0;
}

/* What happens. */

static void post(struct machine *m, int v)
{
    m->n.coalesced += test(m->pir, v);
    set(m->pir, v);
    row(m, PID_POST, v);
    if (!m->on) {
        m->on = 1;
        m->n.notifications++;
        push(&m->calendar, m->now + NOTIFICATION_PS, NOTIFICATION, 0);
    }
}

static void suspend(struct machine *m)
{
    if (m->depth > 0) {
        m->left[m->depth - 1] = m->over_at - m->now;
        m->generation++;
    }
}

static void plan(struct machine *m, int64_t length)
{
    m->over_at = m->now + length;
    push(&m->calendar, m->over_at, HANDLER_OVER, ++m->generation);
}

static void resume(struct machine *m)
{
    if (m->depth > 0)
        plan(m, m->left[m->depth - 1]);
}

static void deliver(struct machine *m)
{
    int v = deliver_rule(m);
    m->n.preempted += m->depth > 0;
    m->depth++;
    m->n.delivered++;
    m->hash = (m->hash ^ (uint32_t)m->now) * 16777619u + (uint32_t)(m->now >> 32) * 256u + (uint32_t)v;
    row(m, IRQ_DELIVER, v);
    plan(m, (600 + (int64_t)(draw(&m->lengths) & 1023)) * 1000);
}

static void deliver_if_recognized(struct machine *m)
{
    if (m->recognized) {
        suspend(m);
        deliver(m);
    }
}

static void notification(struct machine *m)
{
    if (!m->in_guest) {
        m->n.found_root++;
        return;
    }
    m->n.processed++;
    m->on = 0;
    int top = take_pir(m);
    evaluate(m);
    row(m, PID_PROCESS, top);
    deliver_if_recognized(m);
}

static void leave(struct machine *m, int reason)
{
    m->in_guest = 0;
    row(m, VM_EXIT, reason);
    push(&m->calendar, m->now + EXIT_PS, ENTRY, 0);
}

static void lower(struct machine *m)
{
    m->vtpr = 0;
    virtualize_ppr(m);
    evaluate(m);
    row(m, STEP, 0);
    deliver_if_recognized(m);
}

static void enter(struct machine *m)
{
    m->in_guest = 1;
    m->n.entries++;
    if (m->on) {
        m->on = 0;
        m->n.synced++;
        take_pir(m);
        row(m, PIR_SYNC, 1);
    }
    virtualize_ppr(m);
    evaluate(m);
    row(m, VM_ENTRY, 0);
    if (m->recognized)
        deliver(m);
    else
        resume(m);
    if (m->lower_due) {
        m->lower_due = 0;
        lower(m);
    }
}

static void handler_over(struct machine *m)
{
    int v = m->svi, exits = eoi_rule(m);
    m->depth--;
    m->n.eois++;
    row(m, IRQ_EOI, v);
    if (exits) {
        m->n.eoi_exits++;
        leave(m, EOI_INDUCED);
    } else if (m->recognized) {
        deliver(m);
    } else {
        uint32_t x = draw(&m->tasks);
        resume(m);
        if ((x & 63) == 0 && m->vtpr == 0) {
            m->n.raised++;
            m->vtpr = 0x40 + 0x20 * (int)(x >> 8 & 3);
            virtualize_ppr(m);
            evaluate(m);
            row(m, STEP, m->vtpr);
            push(&m->calendar, m->now + (2000 + (int64_t)(x >> 16 & 4095)) * 1000, LOWER, 0);
        }
    }
}

static void happen(struct machine *m, struct entry e)
{
    switch (e.what) {
    case PACKET:
        m->n.packets++;
        row(m, SOURCE_ASSERT, 0x41 + 0x20 * (int)e.argument);
        push(&m->calendar, m->now + interval(&m->queue[e.argument]), PACKET, e.argument);
        push(&m->calendar, m->now + MESSAGE_PS, MESSAGE, e.argument);
        break;
    case MESSAGE:
        post(m, 0x41 + 0x20 * (int)e.argument);
        break;
    case NOTIFICATION:
        notification(m);
        break;
    case HANDLER_OVER:
        if (e.argument == m->generation)
            handler_over(m);
        break;
    case ENTRY:
        enter(m);
        break;
    case TIMER:
        push(&m->calendar, m->now + PERIOD_PS, TIMER, 0);
        post(m, TIMER_VECTOR);
        break;
    case TICK:
        push(&m->calendar, m->now + PERIOD_PS, TICK, 0);
        if (m->in_guest) {
            m->n.tick_exits++;
            suspend(m);
            leave(m, EXTERNAL_INTERRUPT);
        }
        break;
    default:
        if (m->in_guest)
            lower(m);
        else
            m->lower_due = 1;
    }
}

static struct machine *start(uint64_t seed, int recording, int shown)
{
    struct machine *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    memset(&m->columns, 1, sizeof m->columns); /* every page of the block is there before the clock starts */
    m->columns.fill = 0;
    m->columns.rows = 0;
    m->columns.recording = recording;
    m->columns.shown = shown;
    m->in_guest = 1;
    for (uint64_t q = 0; q < QUEUES; q++) {
        m->queue[q] = seeded(seed, q);
        push(&m->calendar, interval(&m->queue[q]), PACKET, (uint32_t)q);
    }
    m->lengths = seeded(seed, QUEUES);
    m->tasks = seeded(seed, QUEUES + 1);
    set(m->eoi_exit, 0xA1);
    set(m->eoi_exit, TIMER_VECTOR);
    push(&m->calendar, PERIOD_PS, TIMER, 0);
    push(&m->calendar, FIRST_TICK_PS, TICK, 0);
    return m;
}

static void run(struct machine *m, int64_t horizon)
{
    while (m->calendar.heap[0].time < horizon) {
        struct entry e = pop(&m->calendar);
        m->events++;
        m->now = e.time;
        happen(m, e);
    }
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: reference SEED HORIZON_PS RECORDING [rows]\n");
        return 2;
    }
    struct machine *m = start(strtoull(argv[1], NULL, 10), atoi(argv[3]), argc > 4 && !strcmp(argv[4], "rows"));
    int64_t began = cpu_ns();
    run(m, strtoll(argv[2], NULL, 10));
    int64_t took = cpu_ns() - began;
    flush(&m->columns);
    const int64_t *n = (const int64_t *)&m->n;
    printf("{\"cpu_ns\": %lld, \"hash\": %u, \"events\": %lld, \"rows\": %lld, \"counters\": [", (long long)took,
           m->hash, (long long)m->events, (long long)m->columns.rows);
    for (size_t i = 0; i < sizeof m->n / sizeof *n; i++)
        printf("%s%lld", i ? ", " : "", (long long)n[i]);
    printf("]}\n");
    free(m);
    return 0;
}
