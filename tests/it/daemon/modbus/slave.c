/* A slave of libmodbus: `slave UNIT PORT...` serves one set of tables on each serial port, so that another
 * master can read on one what was written on the other. Each table has the places 0 to 199; a holding register
 * holds its address at first. Prints `ready`; ends with its standard input. */
#include <errno.h>
#include <modbus.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PLACES = 200, MOST = 4 };

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
    exit(1);
}

int main(int argc, char **argv) {
    int ports = argc - 2;
    if (ports < 1 || ports > MOST)
        return 2;
    modbus_mapping_t *tables = modbus_mapping_new(PLACES, PLACES, PLACES, PLACES);
    if (!tables)
        fail("mapping");
    for (int n = 0; n < PLACES; n++) {
        tables->tab_registers[n] = n;
        tables->tab_input_registers[n] = 1000 + n;
        tables->tab_input_bits[n] = n % 3 == 0;
    }
    modbus_t *bus[MOST];
    struct pollfd ends[MOST + 1] = {{.fd = 0, .events = POLLIN}};
    for (int n = 0; n < ports; n++) {
        bus[n] = modbus_new_rtu(argv[n + 2], 115200, 'N', 8, 1);
        if (!bus[n] || modbus_set_slave(bus[n], atoi(argv[1])) || modbus_connect(bus[n]))
            fail(argv[n + 2]);
        ends[n + 1] = (struct pollfd){.fd = modbus_get_socket(bus[n]), .events = POLLIN};
    }
    puts("ready");
    fflush(stdout);
    while (poll(ends, ports + 1, -1) > 0 && !ends[0].revents) {
        for (int n = 0; n < ports; n++) {
            if (!ends[n + 1].revents)
                continue;
            unsigned char request[MODBUS_RTU_MAX_ADU_LENGTH];
            int length = modbus_receive(bus[n], request);
            /* 0: to another slave; below: damaged. */
            if (length > 0)
                modbus_reply(bus[n], request, length, tables);
        }
    }
    return 0;
}
