/* Reads so many SML files from standard input by libsml, and the number of each entry: sml COUNT < BYTES. The
   library never notices that its input has ended. */
#include <sml/sml_file.h>
#include <sml/sml_transport.h>
#include <sml/sml_value.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    static unsigned char buffer[8192];
    unsigned long files = 0, numbers = 0;
    double sum = 0;
    while (files < wanted) {
        size_t length = sml_transport_read(0, buffer, sizeof buffer);
        if (length <= 16) return 1;
        /* Without the escape sequences at both ends. */
        sml_file *file = sml_file_parse(buffer + 8, length - 16);
        files++;
        for (int n = 0; n < file->messages_len; n++) {
            sml_message_body *body = file->messages[n]->message_body;
            if (*body->tag != SML_MESSAGE_GET_LIST_RESPONSE) continue;
            sml_get_list_response *list = (sml_get_list_response *)body->data;
            for (sml_list *entry = list->val_list; entry; entry = entry->next) {
                int kind = entry->value->type & SML_TYPE_FIELD;
                if (kind != SML_TYPE_INTEGER && kind != SML_TYPE_UNSIGNED) continue;
                sum += sml_value_to_double(entry->value);
                numbers++;
            }
        }
        sml_file_free(file);
    }
    printf("%lu frames, %lu numbers, sum %g\n", files, numbers, sum);
    return 0;
}
