// A WebSocket echo client that does what a worker's hot path asks of the kernel, and nothing else: the floor
// that a driver cannot get under on this machine. One epoll, one recv and one send a message; messages that
// are due leave from a timerfd that wakes at most every TIMER_SLACK_NS, as in wsload/driver/scheduler.py.
// Linux only.
//
//     floor IP PORT PATH TUNNELS RATE_PER_S WARMUP_S SECONDS PAYLOAD_BYTES TIMER_SLACK_NS
//
// RATE_PER_S is of all tunnels together, at even gaps with a random phase each; 0 is a closed loop with one
// message under way in each tunnel. Prints "begin" when it starts to count, then one line of JSON.
// Anything that is not an echo ends it with a message and status 1.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS 1024
#define MAX_SENDS_PER_WAKE 256
#define HEADER_BYTES 6 // of a masked frame with a short payload
#define BUFFER_BYTES 512
#define BUCKETS 100001 // 1 us each; the last takes all that is longer
#define NS_PER_S 1000000000LL
#define TIMER UINT32_MAX

typedef struct {
    int fd;
    int filled;
    unsigned char bytes[BUFFER_BYTES];
} Tunnel;

typedef struct {
    uint32_t counts[BUCKETS];
    int64_t total, max_ns;
} Latencies;

static Tunnel *tunnels;
static int64_t *phase_ns; // ascending: of each tunnel in a cycle of messages
static unsigned char frame[HEADER_BYTES + 125];
static uint64_t mask64;
static int count, payload_bytes, frame_bytes, is_counting;
static Latencies lag, corrected, service;
static int64_t received, sent, wakes;

static void die(const char *format, ...) {
    va_list words;
    va_start(words, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void file_latency(Latencies *to, int64_t ns) {
    int64_t us = ns / 1000;
    to->counts[us < BUCKETS - 1 ? us : BUCKETS - 1]++;
    to->total++;
    if (ns > to->max_ns)
        to->max_ns = ns;
}

static double percentile_ms(const Latencies *of, double percentile) {
    int64_t wanted = (int64_t)(of->total * percentile / 100), seen = 0;
    for (int us = 0; us < BUCKETS; us++)
        if ((seen += of->counts[us]) > wanted)
            return us / 1000.0;
    return of->max_ns / 1e6;
}

// One tunnel, opened and upgraded before the next: opening is not what is measured.
static int open_tunnel(const struct sockaddr_in *to, const char *path) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, length, got = 0;
    char text[1024];
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
        die("cannot connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    length = snprintf(text, sizeof text,
                      "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                      path);
    if (send(fd, text, length, MSG_NOSIGNAL) != length)
        die("cannot ask for the upgrade: %s", strerror(errno));
    do {
        length = recv(fd, text + got, sizeof text - 1 - got, 0);
        if (length <= 0)
            die("no answer to the upgrade");
        text[got += length] = 0;
    } while (!strstr(text, "\r\n\r\n"));
    if (strncmp(text, "HTTP/1.1 101 ", 13))
        die("no upgrade: %.60s", text);
    return fd;
}

static void send_message(Tunnel *tunnel, int64_t due_ns) {
    int64_t at_ns = now_ns();
    uint64_t stamp[2] = {(uint64_t)due_ns ^ mask64, (uint64_t)at_ns ^ mask64};
    memcpy(frame + HEADER_BYTES, stamp, sizeof stamp);
    if (send(tunnel->fd, frame, frame_bytes, MSG_NOSIGNAL) != frame_bytes)
        die("a message does not leave: %s", strerror(errno));
    if (is_counting) {
        sent++;
        file_latency(&lag, at_ns - due_ns);
    }
}

static void take_echoes(Tunnel *tunnel, int is_closed_loop) {
    int got = recv(tunnel->fd, tunnel->bytes + tunnel->filled, BUFFER_BYTES - tunnel->filled, 0);
    int64_t at_ns = now_ns(), stamp[2];
    unsigned char *at = tunnel->bytes;
    if (got <= 0)
        die("a tunnel ended: %s", got ? strerror(errno) : "FIN");
    tunnel->filled += got;
    for (; tunnel->filled >= 2 + payload_bytes; at += 2 + payload_bytes) {
        if (at[0] != 0x82 || at[1] != payload_bytes)
            die("what came is no echo: %02x %02x", at[0], at[1]);
        memcpy(stamp, at + 2, sizeof stamp);
        tunnel->filled -= 2 + payload_bytes;
        if (is_counting) {
            received++;
            file_latency(&corrected, at_ns - stamp[0]);
            file_latency(&service, at_ns - stamp[1]);
        }
        if (is_closed_loop)
            send_message(tunnel, at_ns);
    }
    if (tunnel->filled)
        memmove(tunnel->bytes, at, tunnel->filled);
}

static void arm(int timer, int64_t at_ns) {
    struct itimerspec when = {.it_value = {at_ns / NS_PER_S, at_ns % NS_PER_S}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

// Sends what is due; returns the number of the next message.
static int64_t send_due(int timer, int64_t number, int64_t start_ns, int64_t period_ns, int64_t slack_ns) {
    int64_t at_ns = now_ns(), due_ns = 0;
    for (int left = MAX_SENDS_PER_WAKE; left; left--, number++) {
        due_ns = start_ns + number / count * period_ns + phase_ns[number % count];
        if (due_ns > at_ns && due_ns > (at_ns = now_ns())) {
            arm(timer, due_ns > at_ns + slack_ns ? due_ns : at_ns + slack_ns);
            return number;
        }
        send_message(&tunnels[number % count], due_ns);
    }
    arm(timer, 1);
    return number;
}

static int ascending(const void *one, const void *other) {
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static void print_latencies(const char *name, const Latencies *of) {
    printf(", \"%s_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"p99.9\": %.3f, \"max\": %.3f}", name,
           percentile_ms(of, 50), percentile_ms(of, 99), percentile_ms(of, 99.9), of->max_ns / 1e6);
}

static double seconds(const struct timeval *from, const struct timeval *to) {
    return to->tv_sec - from->tv_sec + (to->tv_usec - from->tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (argc != 10)
        die("nine arguments, please: see the head of floor.c");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    count = atoi(argv[4]);
    double rate_per_s = atof(argv[5]), warmup_s = atof(argv[6]), length_s = atof(argv[7]);
    payload_bytes = atoi(argv[8]);
    int64_t slack_ns = atoll(argv[9]), period_ns = rate_per_s > 0 ? count / rate_per_s * NS_PER_S : 0;
    if (count < 1 || payload_bytes < 16 || payload_bytes > 125)
        die("1 tunnel or more, and a payload of 16 to 125 bytes");
    frame_bytes = HEADER_BYTES + payload_bytes;

    unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    frame[0] = 0x82;
    frame[1] = 0x80 | payload_bytes;
    for (int i = 0; i < 4 + payload_bytes; i++) // the mask, then zeros under it
        frame[2 + i] = mask[i % 4];
    memcpy(&mask64, frame + HEADER_BYTES, sizeof mask64);

    int poll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event events[MAX_EVENTS], wanted = {.events = EPOLLIN, .data.u32 = TIMER};
    epoll_ctl(poll, EPOLL_CTL_ADD, timer, &wanted);
    tunnels = calloc(count, sizeof *tunnels);
    phase_ns = calloc(count, sizeof *phase_ns);
    for (int i = 0; i < count; i++) {
        tunnels[i].fd = open_tunnel(&to, argv[3]);
        fcntl(tunnels[i].fd, F_SETFL, O_NONBLOCK);
        wanted.data.u32 = i;
        epoll_ctl(poll, EPOLL_CTL_ADD, tunnels[i].fd, &wanted);
        phase_ns[i] = drand48() * period_ns;
    }
    qsort(phase_ns, count, sizeof *phase_ns, ascending);

    struct rusage before, after;
    int64_t start_ns = now_ns(), begin_ns = start_ns + warmup_s * NS_PER_S, number = 0;
    int64_t end_ns = begin_ns + length_s * NS_PER_S;
    if (period_ns)
        arm(timer, start_ns);
    else
        for (int i = 0; i < count; i++)
            send_message(&tunnels[i], start_ns);
    for (;;) {
        int64_t at_ns = now_ns();
        if (!is_counting && at_ns >= begin_ns) {
            is_counting = 1;
            puts("begin");
            fflush(stdout);
            getrusage(RUSAGE_SELF, &before);
        } else if (at_ns >= end_ns) {
            break;
        }
        int found = epoll_wait(poll, events, MAX_EVENTS, 1000);
        wakes += is_counting;
        for (int i = 0; i < found; i++)
            if (events[i].data.u32 == TIMER)
                number = send_due(timer, number, start_ns, period_ns, slack_ns);
            else
                take_echoes(&tunnels[events[i].data.u32], !period_ns);
    }
    getrusage(RUSAGE_SELF, &after);
    printf("{\"echoes\": %lld, \"sent\": %lld", (long long)received, (long long)sent);
    printf(", \"wakes\": %lld", (long long)wakes);
    printf(", \"user_s\": %.6f, \"system_s\": %.6f", seconds(&before.ru_utime, &after.ru_utime),
           seconds(&before.ru_stime, &after.ru_stime));
    print_latencies("lag", &lag);
    print_latencies("echo_corrected", &corrected);
    print_latencies("echo_service", &service);
    puts("}");
    return 0;
}
