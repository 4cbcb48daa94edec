// Where the program answers, and who signs in: given by the environment.

function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set`);
  return value;
}

export const baseUrl = setting("COPYDESK_CLIENT_URL");
export const email = setting("COPYDESK_CLIENT_EMAIL");
export const password = setting("COPYDESK_CLIENT_PASSWORD");
