import { TransportError } from "../errors.ts";

/** The optional packages that speak gRPC. */
export interface Grpc {
  readonly grpc: typeof import("@grpc/grpc-js");
  readonly loader: typeof import("@grpc/proto-loader");
}

/** Imports them here and nowhere else. Rejects with TransportError `missing-package`, which names what to install. */
export async function loadGrpc(
  load: () => Promise<Grpc> = async () => ({
    grpc: await import("@grpc/grpc-js"),
    loader: await import("@grpc/proto-loader"),
  }),
): Promise<Grpc> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new TransportError(
      "missing-package",
      "the endpoint picker needs the packages @grpc/grpc-js and @grpc/proto-loader: npm install @grpc/grpc-js @grpc/proto-loader",
      { cause },
    );
  }
}
