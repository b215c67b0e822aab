/* artifact_file.h: an open artifact: its files, and what it says of its layers. Nothing of it
 * changes after it was opened, and files are read by position: threads share it. */
#ifndef ORTHO_LIB_ARTIFACT_FILE_H
#define ORTHO_LIB_ARTIFACT_FILE_H

#include "datasets/checkpoint.h"
#include "lib/artifact.h"

typedef struct ortho_artifact_layer {
    ortho_layer_facts facts;
    int64_t part[ORTHO_PARTS]; /* tensors of the source, checked against the facts */
} ortho_artifact_layer;

struct ortho_artifact {
    ortho_source *source;
    ortho_artifact_layer *layers; /* in the order of their files */
    size_t count, room;
    size_t *by_name; /* [count] layers in ascending order of their names */
};

/* NULL: it has no such layer. */
const ortho_artifact_layer *ortho_artifact_find(const ortho_artifact *artifact, const char *name);

#endif
