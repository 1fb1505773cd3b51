/* A Storage SCU that costs next to nothing, so that what is measured is the receiver.
 *
 *   sender HOST PORT CALLED CALLING ASSOCIATIONS PDU FILE...
 *
 * One thread per association; the files are dealt out in turn, mapped into memory before the clock
 * starts, and sent as they are. Each waits for its C-STORE-RSP before the next. PDUs are as long as
 * the receiver allows, at most PDU bytes. Prints the wall and the processor seconds; any answer but
 * success ends it with status 1 and a sentence.
 *
 * Files: DICOM (PS3.10) with an explicit VR file meta group, all of one SOP class and syntax.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    ASSOCIATE_RQ = 1, ASSOCIATE_AC = 2, P_DATA_TF = 4, RELEASE_RQ = 5, RELEASE_RP = 6,
    PDU_HEADER = 6, PDV_HEADER = 6, CONTEXT = 1, UID_SIZE = 65, LARGEST_PDU = 131072,
    PARTS_AT_ONCE = 512, MOST_ASSOCIATIONS = 64
};

typedef struct {
    const uint8_t *dataset;
    size_t length;
    char sop_class[UID_SIZE], instance[UID_SIZE], syntax[UID_SIZE];
} Instance;

typedef struct {
    const struct sockaddr_in *to;
    const char *called, *calling;
    uint32_t largest_pdu;
    Instance *instances;
    int first, step, count;
} Work;

static void fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static unsigned get16(const uint8_t *at) { return at[0] << 8 | at[1]; }
static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }

/* Little endian: as in the file meta group and the command set. */
static unsigned little16(const uint8_t *at) { return at[0] | at[1] << 8; }
static uint32_t little32(const uint8_t *at)
{
    return little16(at) | (uint32_t)little16(at + 2) << 16;
}

/* ---- files -------------------------------------------------------------------------------- */

static void copy_uid(char *to, const uint8_t *value, uint32_t length)
{
    if (length >= UID_SIZE) fail("a UID of the file meta group is too long");
    memcpy(to, value, length);
    to[length] = 0;
}

/* Reads the file meta group (PS3.10 Section 7.1): three UIDs, and where the dataset begins. */
static Instance read_file(const char *path)
{
    Instance instance = {0};
    struct stat facts;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &facts) || facts.st_size < 144) fail("cannot read %s", path);
    const uint8_t *start = mmap(0, facts.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    close(file);
    if (start == MAP_FAILED || memcmp(start + 128, "DICM", 4)) fail("%s is not DICOM", path);
    const uint8_t *at = start + 144, *end = at + little32(start + 140);
    if (end > start + facts.st_size) fail("%s is truncated", path);
    instance.dataset = end;
    instance.length = start + facts.st_size - end;
    while (at < end) {
        int is_long = !memcmp(at + 4, "OB", 2) || !memcmp(at + 4, "UN", 2);
        uint32_t length = is_long ? little32(at + 8) : little16(at + 6);
        const uint8_t *value = at + (is_long ? 12 : 8);
        switch (little16(at + 2)) {
        case 0x0002: copy_uid(instance.sop_class, value, length); break;
        case 0x0003: copy_uid(instance.instance, value, length); break;
        case 0x0010: copy_uid(instance.syntax, value, length); break;
        }
        at = value + length;
    }
    return instance;
}

/* ---- the wire ----------------------------------------------------------------------------- */

static void receive(int connection, uint8_t *to, size_t length)
{
    while (length) {
        ssize_t got = read(connection, to, length);
        if (got <= 0) fail("the receiver closed the connection");
        to += got;
        length -= got;
    }
}

static void transmit(int connection, struct iovec *parts, int count)
{
    while (count) {
        ssize_t sent = writev(connection, parts, count < PARTS_AT_ONCE ? count : PARTS_AT_ONCE);
        if (sent < 0) fail("the receiver closed the connection");
        for (; count && (size_t)sent >= parts->iov_len; parts++, count--) sent -= parts->iov_len;
        if (count) {
            parts->iov_base = (uint8_t *)parts->iov_base + sent;
            parts->iov_len -= sent;
        }
    }
}

static void transmit_bytes(int connection, uint8_t *bytes, size_t length)
{
    struct iovec part = {bytes, length};
    transmit(connection, &part, 1);
}

/* Reads one PDU, returns its type; its body of *length bytes is in `body`. */
static int receive_pdu(int connection, uint8_t *body, uint32_t *length)
{
    uint8_t header[PDU_HEADER];
    receive(connection, header, sizeof header);
    *length = get32(header + 2);
    if (*length > LARGEST_PDU) fail("the receiver sent a PDU of %u bytes", *length);
    receive(connection, body, *length);
    return header[0];
}

static uint8_t *put_item(uint8_t *at, int type, const void *value, size_t length)
{
    at[0] = type;
    at[1] = 0;
    put16(at + 2, length);
    memcpy(at + 4, value, length);
    return at + 4 + length;
}

static uint8_t *put_text(uint8_t *at, int type, const char *text)
{
    return put_item(at, type, text, strlen(text));
}

static void put_title(uint8_t *at, const char *title)
{
    memset(at, ' ', 16);
    memcpy(at, title, strnlen(title, 16));
}

/* A-ASSOCIATE-RQ (PS3.8 Section 9.3.2) with one presentation context. Returns the end. */
static uint8_t *put_request(uint8_t *pdu, const Work *work)
{
    const Instance *instance = &work->instances[work->first];
    uint8_t most[4], *at = pdu + PDU_HEADER;
    memset(at, 0, 68);
    at[1] = 1; /* protocol version */
    put_title(at + 4, work->called);
    put_title(at + 20, work->calling);
    at = put_text(at + 68, 0x10, "1.2.840.10008.3.1.1.1");
    uint8_t *context = at;
    memcpy(at, (uint8_t[]){0x20, 0, 0, 0, CONTEXT, 0, 0, 0}, 8);
    at = put_text(put_text(at + 8, 0x30, instance->sop_class), 0x40, instance->syntax);
    put16(context + 2, at - context - 4);
    uint8_t *user = at;
    memcpy(at, (uint8_t[]){0x50, 0, 0, 0}, 4);
    put32(most, LARGEST_PDU);
    at = put_text(put_item(at + 4, 0x51, most, 4), 0x52, "2.25.314159265358979323846");
    put16(user + 2, at - user - 4);
    pdu[0] = ASSOCIATE_RQ;
    pdu[1] = 0;
    put32(pdu + 2, at - pdu - PDU_HEADER);
    return at;
}

/* The largest PDU that the A-ASSOCIATE-AC allows, and ours; fails when it refuses the context. */
static uint32_t read_acceptance(const uint8_t *body, uint32_t length, uint32_t ours)
{
    const uint8_t *end = body + length;
    uint32_t theirs = 0;
    for (const uint8_t *item = body + 68; item < end; item += 4 + get16(item + 2)) {
        if (item[0] == 0x21 && item[6]) fail("the presentation context is refused");
        if (item[0] != 0x50) continue;
        const uint8_t *last = item + 4 + get16(item + 2);
        for (const uint8_t *part = item + 4; part < last; part += 4 + get16(part + 2))
            if (part[0] == 0x51) theirs = get32(part + 4);
    }
    return theirs && theirs < ours ? theirs : ours;
}

static int associate(const Work *work, uint8_t *buffer, uint32_t *pdu)
{
    int on = 1, connection = socket(AF_INET, SOCK_STREAM, 0);
    uint32_t length;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(connection, (const struct sockaddr *)work->to, sizeof *work->to))
        fail("nobody listens there");
    transmit_bytes(connection, buffer, put_request(buffer, work) - buffer);
    int type = receive_pdu(connection, buffer, &length);
    if (type != ASSOCIATE_AC) fail("the association is refused (PDU type %d)", type);
    *pdu = read_acceptance(buffer, length, work->largest_pdu);
    return connection;
}

static uint8_t *put_element(uint8_t *at, unsigned element, const void *value, size_t length)
{
    size_t even = length + (length & 1);
    memset(at, 0, 8 + even);
    at[2] = element;
    at[3] = element >> 8;
    at[4] = even;
    memcpy(at + 8, value, length);
    return at + 8 + even;
}

static uint8_t *put_number(uint8_t *at, unsigned element, unsigned value)
{
    return put_element(at, element, (uint8_t[]){value, value >> 8}, 2);
}

/* A P-DATA-TF with the whole command set of a C-STORE-RQ (PS3.7 Section 9.3.1). */
static uint8_t *put_command(uint8_t *pdu, const Instance *instance, unsigned message)
{
    uint8_t *start = pdu + PDU_HEADER + PDV_HEADER, *at = start + 12;
    at = put_element(at, 0x0002, instance->sop_class, strlen(instance->sop_class));
    at = put_number(at, 0x0100, 0x0001); /* C-STORE-RQ */
    at = put_number(at, 0x0110, message);
    at = put_number(at, 0x0700, 0x0000); /* priority medium */
    at = put_number(at, 0x0800, 0x0001); /* a dataset follows */
    at = put_element(at, 0x1000, instance->instance, strlen(instance->instance));
    uint32_t length = at - start - 12;
    put_element(start, 0x0000, (uint8_t[]){length, length >> 8, 0, 0}, 4);
    pdu[0] = P_DATA_TF;
    pdu[1] = 0;
    put32(pdu + 2, at - pdu - PDU_HEADER);
    put32(pdu + PDU_HEADER, at - pdu - PDU_HEADER - 4);
    pdu[10] = CONTEXT;
    pdu[11] = 3; /* command, last fragment */
    return at;
}

static unsigned read_status(const uint8_t *body, uint32_t length)
{
    const uint8_t *end = body + length;
    for (const uint8_t *at = body + PDV_HEADER; at < end; at += 8 + little32(at + 4))
        if (little16(at + 2) == 0x0900) return little16(at + 8);
    fail("an answer without a status");
    return 0;
}

/* One C-STORE. `headers` and `parts` have room for every PDU of the largest dataset. */
static void store(int connection, const Instance *instance, unsigned message, uint32_t pdu,
                  uint8_t *buffer, uint8_t *headers, struct iovec *parts)
{
    const uint8_t *at = instance->dataset, *end = at + instance->length;
    size_t most = pdu - PDV_HEADER;
    int count = 0;
    uint32_t length;
    parts[count++] = (struct iovec){buffer, put_command(buffer, instance, message) - buffer};
    while (at < end) {
        size_t size = (size_t)(end - at) < most ? (size_t)(end - at) : most;
        headers[0] = P_DATA_TF;
        headers[1] = 0;
        put32(headers + 2, size + PDV_HEADER);
        put32(headers + 6, size + 2);
        headers[10] = CONTEXT;
        headers[11] = at + size == end ? 2 : 0; /* data, last fragment or not */
        parts[count++] = (struct iovec){headers, PDU_HEADER + PDV_HEADER};
        parts[count++] = (struct iovec){(void *)at, size};
        headers += PDU_HEADER + PDV_HEADER;
        at += size;
    }
    transmit(connection, parts, count);
    int type = receive_pdu(connection, buffer, &length);
    if (type != P_DATA_TF) fail("a C-STORE is answered by PDU type %d", type);
    unsigned status = read_status(buffer, length);
    if (status) fail("%s is answered with status %04X", instance->instance, status);
}

static void release(int connection, uint8_t *buffer)
{
    uint32_t length;
    transmit_bytes(connection, (uint8_t[]){RELEASE_RQ, 0, 0, 0, 0, 4, 0, 0, 0, 0}, 10);
    if (receive_pdu(connection, buffer, &length) != RELEASE_RP) fail("the release is refused");
    close(connection);
}

static void *run(void *argument)
{
    const Work *work = argument;
    size_t largest = 0;
    uint32_t pdu;
    for (int i = work->first; i < work->count; i += work->step)
        if (work->instances[i].length > largest) largest = work->instances[i].length;
    uint8_t *buffer = malloc(LARGEST_PDU + 4096);
    int connection = associate(work, buffer, &pdu);
    size_t pdus = largest / (pdu - PDV_HEADER) + 1;
    uint8_t *headers = malloc(pdus * (PDU_HEADER + PDV_HEADER));
    struct iovec *parts = malloc((2 * pdus + 1) * sizeof *parts);
    unsigned message = 1;
    for (int i = work->first; i < work->count; i += work->step)
        store(connection, &work->instances[i], message++ & 0x7fff, pdu, buffer, headers, parts);
    release(connection, buffer);
    return NULL;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int count, char **values)
{
    if (count < 8) fail("usage: sender HOST PORT CALLED CALLING ASSOCIATIONS PDU FILE...");
    int associations = atoi(values[5]), files = count - 7;
    if (associations < 1 || associations > MOST_ASSOCIATIONS) fail("1 to 64 associations");
    if (associations > files) associations = files;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(values[2]))};
    if (!inet_aton(values[1], &to.sin_addr)) fail("HOST is an IPv4 address");
    Instance *instances = malloc(files * sizeof *instances);
    for (int i = 0; i < files; i++) instances[i] = read_file(values[7 + i]);

    pthread_t threads[MOST_ASSOCIATIONS];
    Work work[MOST_ASSOCIATIONS];
    double wall = seconds(CLOCK_MONOTONIC), processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < associations; i++) {
        work[i] = (Work){&to, values[3], values[4], atoi(values[6]), instances, i, associations,
                         files};
        if (pthread_create(&threads[i], NULL, run, &work[i])) fail("no thread");
    }
    for (int i = 0; i < associations; i++) pthread_join(threads[i], NULL);
    printf("%.6f %.6f\n", seconds(CLOCK_MONOTONIC) - wall,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - processor);
    return 0;
}
