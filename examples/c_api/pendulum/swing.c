/* A pendulum that a network steers: cosine and sine of its angle and its velocity go in, the torque comes out. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>

#include "fastmlp.h"

static const fastmlp_api *api;

/* Semi-implicit Euler, 0.05 s a step. The return value is a code of fastmlp. */
static int swing_on(fastmlp_net *net, long steps, double *angle, double *velocity) {
  for (long i = 0; i < steps; i++) {
    const float x[3] = {(float)cos(*angle), (float)sin(*angle), (float)*velocity};
    float torque;
    const int code = api->predict(net, x, sizeof x, &torque, sizeof torque, 1);
    if (code) return code;
    *velocity += 0.05 * (15 * sin(*angle) + 3.0 * torque);
    *angle += 0.05 * *velocity;
  }
  return FASTMLP_OK;
}

static PyObject *swing(PyObject *module, PyObject *arguments) {
  PyObject *mlp;
  long steps;
  double angle = 3, velocity = 0;
  fastmlp_net *net;
  int code;
  (void)module;
  if (!PyArg_ParseTuple(arguments, "Ol:swing", &mlp, &steps)) return NULL;
  code = api->from_python(mlp, &net);
  if (code) return PyErr_Format(PyExc_ValueError, "%s", api->last_error());
  Py_BEGIN_ALLOW_THREADS /* predictions do not need the GIL, so other threads may have it */
      code = swing_on(net, steps, &angle, &velocity);
  Py_END_ALLOW_THREADS api->release(net);
  if (code) return PyErr_Format(PyExc_RuntimeError, "%s", api->last_error());
  return Py_BuildValue("(dd)", angle, velocity);
}

static PyMethodDef methods[] = {
    {"swing", swing, METH_VARARGS, "swing(mlp, steps): angle and velocity after so many steps"}, {NULL, NULL, 0, NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_swing", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__swing(void) {
  api = fastmlp_import();
  return api ? PyModule_Create(&module) : NULL;
}
