// Prints the credentials that the AWS SDK for JavaScript v3 finds: the provider's own default times and tries.
const { fromInstanceMetadata, fromContainerMetadata } = require("@aws-sdk/credential-providers");

const container = Object.keys(process.env).some((name) => name.startsWith("AWS_CONTAINER_CREDENTIALS_"));
const find = container ? fromContainerMetadata() : fromInstanceMetadata();
find().then(
  (found) =>
    console.log(JSON.stringify({ accessKeyId: found.accessKeyId, source: "javascript", expiration: found.expiration.toISOString() })),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
