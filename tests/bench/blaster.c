/* The benchmark's sender: plays a tape of prepared C-STORE requests at a receiver.
 *
 *     blaster PORT ASSOCIATIONS [single] < TAPE
 *
 * A tape (tests/bench/tape.py writes it) holds one A-ASSOCIATE-RQ and, for each object, exactly the
 * bytes that go over the wire: command and data set, already cut into P-DATA-TF PDUs. So sending an
 * object is one send(2) from memory that is filled before the clock runs, and the receiver's answer
 * is the only thing that is waited for.
 *
 * One thread is one association and sends a consecutive part of the objects; with "single" each
 * object has an association of its own. Threads start together. The target is always 127.0.0.1.
 *
 * Every answer must be a C-STORE-RSP to this very message with status 0x0000. Whatever else happens
 * ends the thread with a reason in words, except a failure status, which is counted.
 *
 * stdout: one JSON object; times are nanoseconds of CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ASSOCIATE_AC = 2, ASSOCIATE_RJ = 3, P_DATA = 4, RELEASE_RP = 6, ABORT = 7 };
enum { ANSWER_SECONDS = 60, ANSWER_BYTES = 65536, MAX_ASSOCIATIONS = 4096 };

/* The tape, as tests/bench/tape.py packs it: head, requests, table of entries; little endian. */
struct head {
    char magic[8];
    uint64_t objects, associate_at, associate_bytes, table_at;
};
struct entry {
    uint64_t at, bytes, data_set_bytes, message_id;
};

static const uint8_t *tape;
static const struct head *head;
static const struct entry *entries;
static int port;
static bool single;
static pthread_barrier_t start_line;

/* What one thread does, and what came of it. */
struct share {
    uint64_t first, last;        /* its objects */
    int socket;
    uint8_t answer[ANSWER_BYTES];
    uint64_t *response_times;    /* one per answered object */
    uint64_t answered, confirmed, bytes;
    uint64_t began, ended, set_up;
    char failure[160];           /* the first thing that went wrong */
};

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void give_up(const char *what)
{
    fprintf(stderr, "blaster: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* Note what went wrong first; always false, to be returned. */
__attribute__((format(printf, 2, 3)))
static bool failed(struct share *s, const char *format, ...)
{
    if (!s->failure[0]) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(s->failure, sizeof s->failure, format, arguments);
        va_end(arguments);
    }
    return false;
}

static uint32_t big_endian_32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little_endian_32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static bool send_all(struct share *s, const uint8_t *data, uint64_t size)
{
    while (size) {
        ssize_t sent = send(s->socket, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return failed(s, "sending failed: %s", strerror(errno));
        data += sent;
        size -= (uint64_t)sent;
    }
    return true;
}

/* Read one PDU into s->answer; its type is the first byte. */
static bool read_answer(struct share *s)
{
    size_t got = 0, wanted = 6;
    while (got < wanted) {
        ssize_t r = recv(s->socket, s->answer + got, sizeof s->answer - got, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return failed(s, "no answer: %s", strerror(errno));
        if (r == 0)
            return failed(s, "the peer closed the connection");
        got += (size_t)r;
        if (got >= 6)
            wanted = 6 + (size_t)big_endian_32(s->answer + 2);
        if (wanted > sizeof s->answer)
            return failed(s, "the answer is too long");
    }
    return true;
}

static bool unexpected(struct share *s, const char *wanted)
{
    const uint8_t *a = s->answer;
    if (a[0] == ABORT)
        return failed(s, "aborted, source %d, reason %d", a[8], a[9]);
    if (a[0] == ASSOCIATE_RJ)
        return failed(s, "rejected, result %d, source %d, reason %d", a[7], a[8], a[9]);
    return failed(s, "PDU type %d instead of %s", a[0], wanted);
}

static bool associate(struct share *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct timeval patience = { .tv_sec = ANSWER_SECONDS };
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (s->socket < 0 || connect(s->socket, (struct sockaddr *)&address, sizeof address))
        return failed(s, "connecting failed: %s", strerror(errno));
    setsockopt(s->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(s->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(s->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!send_all(s, tape + head->associate_at, head->associate_bytes) || !read_answer(s))
        return false;
    return s->answer[0] == ASSOCIATE_AC || unexpected(s, "an A-ASSOCIATE-AC");
}

static bool release(struct share *s)
{
    static const uint8_t request[10] = { 5, 0, 0, 0, 0, 4 };
    if (!send_all(s, request, sizeof request) || !read_answer(s))
        return false;
    close(s->socket);
    return s->answer[0] == RELEASE_RP || unexpected(s, "an A-RELEASE-RP");
}

/* Find an element of group 0000 with a two-byte value in the answer's command set (PS3.7 9.3.1). */
static int command_element(const struct share *s, uint16_t element)
{
    const uint8_t *p = s->answer + 12, *end = s->answer + 6 + big_endian_32(s->answer + 2);
    while (end - p >= 10) {
        uint32_t tag = little_endian_32(p), size = little_endian_32(p + 4);
        if (tag == (uint32_t)element << 16 && size == 2)
            return p[8] | p[9] << 8;
        if (size > (uint32_t)(end - p) - 8)
            break;
        p += 8 + size;
    }
    return -1;
}

/* False ends the association; a failure status does not. */
static bool check_response(struct share *s, const struct entry *e)
{
    if (s->answer[0] != P_DATA)
        return unexpected(s, "a C-STORE-RSP");
    if (command_element(s, 0x0100) != 0x8001)
        return failed(s, "an answer that is no C-STORE-RSP");
    if (command_element(s, 0x0120) != (int)e->message_id)
        return failed(s, "a response to another message");
    int status = command_element(s, 0x0900);
    if (status != 0) {
        failed(s, "status 0x%04X", (unsigned)status & 0xFFFFu);
        return true;
    }
    s->confirmed++;
    s->bytes += e->data_set_bytes;
    return true;
}

static bool store(struct share *s, const struct entry *e)
{
    return send_all(s, tape + e->at, e->bytes) && read_answer(s) && check_response(s, e);
}

static void send_over_one(struct share *s)
{
    if (!associate(s))
        return;
    s->set_up = now() - s->began;
    for (uint64_t n = s->first; n < s->last; n++) {
        uint64_t before = now();
        if (!store(s, &entries[n]))
            return;
        s->response_times[s->answered++] = now() - before;
    }
    s->ended = now();
    release(s);
}

/* Here the response time is that of everything: connection, association, object and release. */
static void send_over_many(struct share *s)
{
    for (uint64_t n = s->first; n < s->last; n++) {
        uint64_t before = now();
        if (!associate(s))
            return;
        s->set_up += (now() - before) / (s->last - s->first);
        if (!store(s, &entries[n]) || !release(s))
            return;
        s->response_times[s->answered++] = now() - before;
    }
}

static void *run(void *argument)
{
    struct share *s = argument;
    pthread_barrier_wait(&start_line);
    s->began = now();
    if (single)
        send_over_many(s);
    else
        send_over_one(s);
    if (!s->ended)
        s->ended = now();
    return NULL;
}

/* Read the tape into memory before anything is timed: private and in large pages, from where the
 * kernel copies to sockets twice as fast as from pages of a file. */
static void load_tape(void)
{
    struct stat status;
    if (fstat(STDIN_FILENO, &status))
        give_up("the tape");
    size_t size = (size_t)status.st_size, got = 0;
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        give_up("memory for the tape");
    madvise(memory, size, MADV_HUGEPAGE);
    while (got < size) {
        ssize_t r = read(STDIN_FILENO, memory + got, size - got);
        if (r <= 0)
            give_up("reading the tape");
        got += (size_t)r;
    }
    tape = memory;
    head = (const struct head *)tape;
    if (size < sizeof *head || memcmp(head->magic, "BLAST 1\n", sizeof head->magic)) {
        errno = EINVAL;
        give_up("stdin is no tape");
    }
    entries = (const struct entry *)(tape + head->table_at);
}

static void print_results(const struct share *shares, int count, double cpu_seconds)
{
    uint64_t began = UINT64_MAX, ended = 0, confirmed = 0, bytes = 0, set_up = 0;
    const char *separator = "", *failure = "";
    printf("{\"response_ns\": [");
    for (int i = 0; i < count; i++) {
        const struct share *s = &shares[i];
        began = s->began < began ? s->began : began;
        ended = s->ended > ended ? s->ended : ended;
        confirmed += s->confirmed;
        bytes += s->bytes;
        set_up += s->set_up / (uint64_t)count;
        failure = s->failure[0] ? s->failure : failure;
        for (uint64_t n = 0; n < s->answered; n++, separator = ", ")
            printf("%s%" PRIu64, separator, s->response_times[n]);
    }
    printf("], \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"elapsed_ns\": %" PRIu64
           ", \"set_up_ns\": %" PRIu64 ", \"sender_cpu_seconds\": %.6f, \"failure\": \"%s\"}\n",
           confirmed, bytes, ended - began, set_up, cpu_seconds, failure);
}

static double cpu_seconds_used(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
         + 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

int main(int count_of_arguments, char **arguments)
{
    if (count_of_arguments < 3) {
        fprintf(stderr, "usage: blaster PORT ASSOCIATIONS [single] < TAPE\n");
        return 2;
    }
    port = atoi(arguments[1]);
    int count = atoi(arguments[2]);
    single = count_of_arguments > 3 && !strcmp(arguments[3], "single");
    if (port < 1 || port > 65535 || count < 1 || count > MAX_ASSOCIATIONS) {
        fprintf(stderr, "blaster: port or number of associations out of range\n");
        return 2;
    }
    load_tape();
    struct share *shares = calloc((size_t)count, sizeof *shares);
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    if (!shares || !threads)
        give_up("memory");
    pthread_barrier_init(&start_line, NULL, (unsigned)count);
    double before = cpu_seconds_used();
    for (int i = 0; i < count; i++) {
        struct share *s = &shares[i];
        s->first = (uint64_t)i * head->objects / (uint64_t)count;
        s->last = (uint64_t)(i + 1) * head->objects / (uint64_t)count;
        s->response_times = calloc(s->last - s->first + 1, sizeof *s->response_times);
        if (!s->response_times || pthread_create(&threads[i], NULL, run, s))
            give_up("starting an association");
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    print_results(shares, count, cpu_seconds_used() - before);
    return 0;
}
