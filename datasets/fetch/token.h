/*
 * token.h: the user's access token, where the hub's own tools look for it: $HF_TOKEN, else the file
 * $HF_TOKEN_PATH, else $HF_HOME/token, else ~/.cache/huggingface/token. It is never printed.
 */
#ifndef ORTHO_FETCH_TOKEN_H
#define ORTHO_FETCH_TOKEN_H

#include <ortho/ortho.h>

#define ORTHO_TOKEN_SIZE 512

/* "" when there is none. ARGUMENT names the source of one that can't stand in a header, not the
 * token. */
ortho_status ortho_token_find(char out[ORTHO_TOKEN_SIZE]);

#endif
