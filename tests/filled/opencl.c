#include "opencl/loader.h"

void (*ncl_api_hook)(struct ncl_api *api);

void ncl_api_filled(struct ncl_api *api)
{
    if (ncl_api_hook)
        ncl_api_hook(api);
}
