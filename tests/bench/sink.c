/* The benchmark's bare receiver: stores what the blaster sends as durably as dicomdock, and no more.
 *
 *     sink PORT FOLDER
 *
 * One thread is one association. Each object goes to a file while it arrives; then follow fdatasync,
 * rename, fsync of the folder and the C-STORE-RSP. Nothing is checked, named by its content or
 * noted: the least that a receiver which flushes each object has to do. It understands
 * what blaster.c sends, one PDV in each PDU, and nothing else. It runs until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ASSOCIATE_RQ = 1, P_DATA = 4, RELEASE_RQ = 5, COMMAND = 1, LAST = 2 };
enum { BUFFER_BYTES = 640 * 1024, ASSOCIATE_BYTES = 64 * 1024 };

static int folder;

/* One association. */
struct caller {
    int socket, file;
    unsigned number, objects;
    uint8_t message_id[2];
    uint8_t buffer[BUFFER_BYTES];
};

static void give_up(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint32_t big_endian_32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t big_endian_16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void send_all(struct caller *c, const uint8_t *data, size_t size)
{
    if (send(c->socket, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        give_up("sending an answer");
}

/* Accept each proposed context, with its one transfer syntax (PS3.8 9.3.3). */
static void associate(struct caller *c, const uint8_t *request, uint32_t size)
{
    static const uint8_t user[] = { 0x50, 0, 0, 8, 0x51, 0, 0, 4, 0, 0, 0, 0 };
    static __thread uint8_t answer[ASSOCIATE_BYTES];
    size_t at = 74;
    memcpy(answer, request, at);
    answer[0] = 2;
    for (const uint8_t *item = request + 74; item < request + 6 + size;
         item += 4 + big_endian_16(item + 2)) {
        if (item[0] == 0x10) {
            memcpy(answer + at, item, 4u + big_endian_16(item + 2));
            at += 4u + big_endian_16(item + 2);
        } else if (item[0] == 0x20) {
            const uint8_t *abstract = item + 8;
            const uint8_t *transfer = abstract + 4 + big_endian_16(abstract + 2);
            uint16_t length = (uint16_t)(4 + big_endian_16(transfer + 2));
            uint8_t head[8] = { 0x21, 0, (uint8_t)((length + 4) >> 8), (uint8_t)(length + 4), item[4] };
            memcpy(answer + at, head, sizeof head);
            memcpy(answer + at + sizeof head, transfer, length);
            at += sizeof head + length;
        }
    }
    memcpy(answer + at, user, sizeof user);
    at += sizeof user;
    uint32_t length = htonl((uint32_t)at - 6);
    memcpy(answer + 2, &length, sizeof length);
    send_all(c, answer, at);
}

static void begin_object(struct caller *c, const uint8_t *command, const uint8_t *end)
{
    char part[40];
    for (const uint8_t *p = command; p + 8 <= end; p += 8 + (p[4] | p[5] << 8))
        if (p[0] == 0 && p[1] == 0 && p[2] == 0x10 && p[3] == 0x01)  /* (0000,0110) Message ID */
            memcpy(c->message_id, p + 8, 2);
    snprintf(part, sizeof part, "%u-%u.part", c->number, c->objects);
    c->file = openat(folder, part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (c->file < 0)
        give_up("creating a file");
}

static void end_object(struct caller *c, uint8_t context)
{
    /* Command Field, Message ID Being Responded To, Command Data Set Type, Status: 0x0000. */
    uint8_t response[] = {
        P_DATA, 0, 0, 0, 0, 46, 0, 0, 0, 42, context, COMMAND | LAST,
        0, 0, 0x00, 0x01, 2, 0, 0, 0, 0x01, 0x80,
        0, 0, 0x20, 0x01, 2, 0, 0, 0, c->message_id[0], c->message_id[1],
        0, 0, 0x00, 0x08, 2, 0, 0, 0, 0x01, 0x01,
        0, 0, 0x00, 0x09, 2, 0, 0, 0, 0x00, 0x00,
    };
    char part[40], name[40];
    snprintf(part, sizeof part, "%u-%u.part", c->number, c->objects);
    snprintf(name, sizeof name, "%u-%u.dcm", c->number, c->objects++);
    if (fdatasync(c->file) || renameat(folder, part, folder, name) || fsync(folder))
        give_up("storing an object");
    send_all(c, response, sizeof response);
    close(c->file);
}

static void *serve(void *argument)
{
    struct caller *c = argument;
    size_t low = 0, high = 0, left = 0;  /* `left`: bytes of the present PDV that are yet to come */
    uint8_t context = 0, control = 0;
    for (;;) {
        memmove(c->buffer, c->buffer + low, high - low);
        high -= low;
        low = 0;
        ssize_t got = recv(c->socket, c->buffer + high, sizeof c->buffer - high, 0);
        if (got <= 0)
            break;
        high += (size_t)got;
        while (low < high) {
            const uint8_t *p = c->buffer + low;
            if (left) {
                size_t here = left < high - low ? left : high - low;
                if (write(c->file, p, here) != (ssize_t)here)
                    give_up("writing");
                low += here;
                left -= here;
            } else {
                if (high - low < 12 && !(high - low >= 10 && p[0] == RELEASE_RQ))
                    break;
                uint32_t size = big_endian_32(p + 2);
                int is_data = p[0] == P_DATA && !(p[11] & COMMAND);
                if (!is_data && high - low < 6 + size)
                    break;
                low += is_data ? 12 : 6 + size;
                if (p[0] == ASSOCIATE_RQ)
                    associate(c, p, size);
                else if (p[0] == P_DATA && !is_data)
                    begin_object(c, p + 12, p + 6 + size);
                else if (p[0] == RELEASE_RQ)
                    send_all(c, (const uint8_t[10]){ 6, 0, 0, 0, 0, 4 }, 10);
                if (!is_data)
                    continue;
                context = p[10], control = p[11], left = size - 6;
            }
            if (!left && control & LAST)
                end_object(c, context);
        }
    }
    close(c->socket);
    free(c);
    return NULL;
}

int main(int count, char **arguments)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (count != 3) {
        fprintf(stderr, "usage: sink PORT FOLDER\n");
        return 2;
    }
    folder = open(arguments[2], O_RDONLY | O_DIRECTORY);
    address.sin_port = htons((uint16_t)atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (folder < 0 || bind(listener, (struct sockaddr *)&address, sizeof address)
        || listen(listener, 256))
        give_up("listening");
    for (unsigned number = 0;; number++) {
        struct caller *c = calloc(1, sizeof *c);
        pthread_t thread;
        if (!c || (c->socket = accept(listener, NULL, NULL)) < 0)
            give_up("accepting");
        c->number = number;
        setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, NULL, serve, c) || pthread_detach(thread))
            give_up("starting a thread");
    }
}
