#include "harness/stats.h"
